#include "notifier/mail/message.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "common/base/email.h"
#include "common/base/err.h"
#include "common/base/utf8.h"

#define LINE_MAX_BYTES                                                                             \
    76 /* of an encoded line (RFC 2045, 6.7), and of an encoded word (RFC 2047) */
#define WORD_HEAD "=?utf-8?Q?"
#define WORD_TAIL "?="
#define BOUNDARY "=_checkout_" /* =_ stands in no quoted-printable text */

/* "=C3": three bytes, in upper case as RFC 2045 wants it. */
static void put_escaped(struct buf *out, char c)
{
    (void)buf_printf(out, "=%02X", (unsigned)(unsigned char)c);
}

/* ---- quoted-printable (RFC 2045, 6.7) ---- */

static bool at_line_end(const char *text)
{
    return text[0] == '\0' || text[0] == '\n' || (text[0] == '\r' && text[1] == '\n');
}

static void put_body(const char *text, struct buf *out)
{
    size_t column = 0;
    for (; *text != '\0'; text++) {
        if (at_line_end(text)) {
            text += *text == '\r';
            (void)buf_str(out, "\r\n");
            column = 0;
            continue;
        }
        bool blank = *text == ' ' || *text == '\t';
        bool plain =
            (*text > ' ' && *text <= '~' && *text != '=') || (blank && !at_line_end(text + 1));
        size_t width = plain ? 1 : 3;
        if (column + width >= LINE_MAX_BYTES) { /* the = that ends the line has its place, too */
            (void)buf_str(out, "=\r\n");
            column = 0;
        }
        if (plain)
            (void)buf_char(out, *text);
        else
            put_escaped(out, *text);
        column += width;
    }
    if (column > 0)
        (void)buf_str(out, "\r\n");
}

/* ---- texts of the head (RFC 2047) ---- */

static bool is_plain_head(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            return false;
    return strstr(text, "=?") == NULL && strlen(text) < 200; /* a longer line would have to fold */
}

static size_t encoded_width(const char *character, size_t len)
{
    bool plain = len == 1 && ((*character >= '0' && *character <= '9') ||
                              (*character >= 'A' && *character <= 'Z') ||
                              (*character >= 'a' && *character <= 'z') || *character == ' ');
    return plain ? 1 : 3 * len;
}

/* Words of whole characters, each on a line of its own. `column`: where the first one begins. */
static void put_words(const char *text, size_t column, struct buf *out)
{
    size_t left = strlen(text);
    (void)buf_str(out, WORD_HEAD);
    column += sizeof WORD_HEAD - 1;
    while (left > 0) {
        size_t len = utf8_len(text, left);
        if (len == 0)
            len = 1; /* no UTF-8: each byte is as good as the next */
        size_t width = encoded_width(text, len);
        if (column + width + sizeof WORD_TAIL > LINE_MAX_BYTES) {
            (void)buf_str(out, WORD_TAIL "\r\n " WORD_HEAD);
            column = sizeof WORD_HEAD;
        }
        bool control = len == 1 && ((unsigned char)*text < ' ' || *text == 0x7f);
        if (*text == ' ' || control)
            (void)buf_char(out, '_');
        else if (width == 1)
            (void)buf_char(out, *text);
        else
            for (size_t i = 0; i < len; i++)
                put_escaped(out, text[i]);
        column += width;
        text += len;
        left -= len;
    }
    (void)buf_str(out, WORD_TAIL);
}

static void put_subject(const char *text, struct buf *out)
{
    static const char name[] = "Subject: ";
    (void)buf_str(out, name);
    if (is_plain_head(text))
        (void)buf_str(out, text);
    else
        put_words(text, sizeof name - 1, out);
    (void)buf_str(out, "\r\n");
}

static void put_from(const struct message *m, struct buf *out)
{
    (void)buf_str(out, "From: ");
    if (m->from_name[0] == '\0') {
        (void)buf_printf(out, "<%s>\r\n", m->from);
        return;
    }
    if (is_plain_head(m->from_name)) {
        (void)buf_char(out, '"');
        for (const char *c = m->from_name; *c != '\0'; c++) {
            if (*c == '"' || *c == '\\')
                (void)buf_char(out, '\\');
            (void)buf_char(out, *c);
        }
        (void)buf_char(out, '"');
    } else {
        put_words(m->from_name, sizeof "From: " - 1, out);
    }
    (void)buf_printf(out, "\r\n <%s>\r\n", m->from);
}

static void put_date(int64_t date_ms, struct buf *out)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(date_ms / 1000);
    struct tm tm = {0};
    (void)gmtime_r(&seconds, &tm);
    (void)buf_printf(out, "Date: %s, %02d %s %04d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday],
                     tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                     tm.tm_sec);
}

/* ---- the whole ---- */

static bool is_word(const char *text, const char *also)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-");
    return text[0] != '\0' &&
           (text[len] == '\0' || (strchr(also, text[len]) != NULL && is_word(text + len + 1, "")));
}

static void put_part(const char *type, const char *text, struct buf *out)
{
    (void)buf_printf(out,
                     "Content-Type: text/%s; charset=utf-8\r\n"
                     "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
                     type);
    put_body(text, out);
}

static void put_parts(const struct message *m, struct buf *out)
{
    if (m->html == NULL) {
        put_part("plain", m->text, out);
        return;
    }
    (void)buf_str(out, "Content-Type: multipart/alternative;\r\n boundary=\"" BOUNDARY "\"\r\n\r\n"
                       "--" BOUNDARY "\r\n");
    put_part("plain", m->text, out);
    (void)buf_str(out, "\r\n--" BOUNDARY "\r\n");
    put_part("html", m->html, out);
    (void)buf_str(out, "\r\n--" BOUNDARY "--\r\n");
}

int message_build(const struct message *m, struct buf *out)
{
    if (!email_valid(m->from, strlen(m->from)) || !email_valid(m->to, strlen(m->to)) ||
        !is_word(m->id, "@") || !is_word(m->language, ""))
        return ERR_INVALID;
    put_date(m->date_ms, out);
    put_from(m, out);
    (void)buf_printf(out, "To: <%s>\r\n", m->to);
    put_subject(m->subject, out);
    (void)buf_printf(out,
                     "Message-ID: <%s>\r\n"
                     "Auto-Submitted: auto-generated\r\n"
                     "Content-Language: %s\r\n"
                     "MIME-Version: 1.0\r\n",
                     m->id, m->language);
    put_parts(m, out);
    return out->failed ? ERR_FULL : 0;
}
