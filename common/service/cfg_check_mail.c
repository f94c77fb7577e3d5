#include <string.h>

#include "common/base/email.h"
#include "common/base/err.h"
#include "common/base/utf8.h"
#include "common/net/smtp/smtp_url.h"
#include "common/service/cfg_impl.h"

/* Settings of mails. */

int cfg_check_smtp(const char *text, struct buf *problem)
{
    struct smtp_url urls[SMTP_URL_HOSTS_MAX];
    const char *why = "malformed";
    int count = smtp_url_parse(text, urls, &why);
    explicit_bzero(urls, sizeof urls);
    if (count > 0)
        return 0;
    (void)buf_str(problem, why);
    return ERR_CONFIG;
}

int cfg_check_email(const char *text, struct buf *problem)
{
    if (email_valid(text, strlen(text)))
        return 0;
    (void)buf_str(problem, "is no e-mail address like shop@example.org");
    return ERR_CONFIG;
}

int cfg_check_line(const struct cfg_row *row, const char *text, struct buf *problem)
{
    size_t len = strlen(text);
    bool good = utf8_valid(text, len) && len >= (size_t)row->low && len <= (size_t)row->high;
    for (size_t i = 0; i < len; i++)
        good = good && (unsigned char)text[i] >= 0x20 && text[i] != 0x7f;
    if (good)
        return 0;
    (void)buf_printf(problem,
                     "is no text of %lld to %lld bytes in UTF-8 without control characters",
                     (long long)row->low, (long long)row->high);
    return ERR_CONFIG;
}
