#include "common/net/http/curl_date.h"

#include <stdio.h>
#include <string.h>

int64_t curl_date_of(struct curl_date *last, const char *text, curl_date_reader read)
{
    if (text == NULL || text[0] == '\0')
        return 0;
    if (strcmp(text, last->text) == 0)
        return last->date_s;
    time_t date = read(text, NULL);
    if (date < 0)
        return 0;
    if (snprintf(last->text, sizeof last->text, "%s", text) >= (int)sizeof last->text)
        last->text[0] = '\0'; /* cut, it could be another date's text */
    last->date_s = (int64_t)date;
    return last->date_s;
}
