/* The dates that servers send with their answers: the newest is remembered, since it is the same
 * for all answers of a second, and costs as much to read as the rest of an answer's head. */
#ifndef COMMON_NET_HTTP_CURL_DATE_H
#define COMMON_NET_HTTP_CURL_DATE_H

#include <stdint.h>
#include <time.h>

#define CURL_DATE_SIZE 32 /* an IMF-fixdate of RFC 9110, 5.6.7, has 29 characters */

struct curl_date {
    char text[CURL_DATE_SIZE]; /* empty: none yet */
    int64_t date_s;
};

typedef time_t (*curl_date_reader)(const char *text, const time_t *unused);

/* Seconds since 1970 of `text`, which may be NULL; 0: no date. `read` is asked (below 0: no date)
 * if `text` is not the one before. */
int64_t curl_date_of(struct curl_date *last, const char *text, curl_date_reader read);

#endif
