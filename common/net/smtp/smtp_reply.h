/* Replies of mail servers. Pure. */
#ifndef COMMON_NET_SMTP_SMTP_REPLY_H
#define COMMON_NET_SMTP_SMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#define SMTP_DETAIL_SIZE 10 /* "5.123.123" with NUL */

/* The enhanced status (RFC 3463) in a line of a reply, "450 4.7.1 …" or "450-4.7.1 …". False: there
 * is none, and `ret_detail` is as it was. */
bool smtp_reply_detail(const char *line, size_t len, char ret_detail[SMTP_DETAIL_SIZE]);

#endif
