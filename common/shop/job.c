#include "common/shop/job.h"

#include <string.h>

#include "common/base/email.h"
#include "common/base/err.h"

static void member(struct buf *out, const char *name, const char *value)
{
    (void)buf_str(out, name);
    (void)buf_json_str(out, value);
}

int job_encode(struct buf *out, const struct job *job)
{
    (void)buf_str(out, "{\"order_id\":\"");
    (void)buf_append(out, job->order_id, IDS_ORDER_SIZE - 1);
    member(out, "\",\"user_id\":", job->user_id);
    member(out, ",\"sku\":", job->sku);
    (void)buf_str(out, ",\"quantity\":");
    (void)buf_int(out, job->quantity);
    member(out, ",\"payment_method\":", job->payment_method);
    if (job->receipt_email != NULL)
        member(out, ",\"receipt_email\":", job->receipt_email);
    if (job->has_unit_price) {
        (void)buf_str(out, ",\"unit_price\":");
        (void)buf_int(out, job->unit_price);
    }
    if (job->reference != NULL)
        member(out, ",\"reference\":", job->reference);
    (void)buf_str(out, ",\"accepted_at\":\"");
    (void)buf_str(out, job->accepted_at);
    (void)buf_str(out, "\",\"fingerprint\":\"");
    (void)buf_str(out, job->fingerprint);
    (void)buf_char(out, '"');
    if (job->traceparent != NULL)
        member(out, ",\"traceparent\":", job->traceparent);
    if (job->gateway_customer != NULL)
        member(out, ",\"gateway_customer\":", job->gateway_customer);
    if (job->human != NULL)
        member(out, ",\"human\":", job->human);
    if (job->mail_to != NULL)
        member(out, ",\"mail_to\":", job->mail_to);
    if (job->locale != NULL)
        member(out, ",\"locale\":", job->locale);
    (void)buf_char(out, '}');
    return out->failed ? ERR_FULL : 0;
}

/* Longest text that is fingerprinted: every field at its longest, plus separators and numbers. */
#define FINGERPRINT_TEXT_MAX (JOB_SKU_MAX + JOB_METHOD_MAX + EMAIL_MAX + JOB_REFERENCE_MAX + 64)

static char *put(char *p, const char *end, const char *text)
{
    size_t len = text == NULL ? 0 : strnlen(text, (size_t)(end - p));
    if (len + 1 > (size_t)(end - p))
        return NULL;
    if (len > 0)
        memcpy(p, text, len);
    p[len] = '\n'; /* no field may contain it, so no two orders give one text */
    return p + len + 1;
}

int job_fingerprint(const struct job *job, char ret_hex[IDS_FINGERPRINT_SIZE])
{
    char numbers[64];
    struct buf number = {.data = numbers, .cap = sizeof numbers, .max = sizeof numbers - 1};
    (void)buf_int(&number, job->quantity);
    (void)buf_char(&number, job->has_unit_price ? '@' : '-');
    (void)buf_int(&number, job->has_unit_price ? job->unit_price : 0);
    char text[FINGERPRINT_TEXT_MAX];
    const char *end = text + sizeof text;
    const char *const fields[] = {job->sku, numbers, job->payment_method, job->receipt_email,
                                  job->reference};
    char *p = text;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        p = put(p, end, fields[i]);
        if (p == NULL)
            return ERR_FULL;
    }
    return ids_fingerprint(text, (size_t)(p - text), ret_hex);
}

static bool visible_ascii(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < 0x21 || text[i] > 0x7e)
            return false;
    return true;
}

bool job_sku_valid(const char *sku, size_t len)
{
    if (len < 1 || len > JOB_SKU_MAX || sku[0] == '-')
        return false;
    if (sku[0] == '.' && (len == 1 || (len == 2 && sku[1] == '.')))
        return false; /* no URL has such a step in its path */
    for (size_t i = 0; i < len; i++) {
        char c = sku[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '_' || c == '-';
        if (!fine)
            return false;
    }
    return true;
}

bool job_user_valid(const char *user, size_t len)
{
    if (len < 1 || len > JOB_USER_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)user[i] < 0x20 || user[i] == 0x7f)
            return false;
    return true;
}

bool job_reference_valid(const char *reference, size_t len)
{
    return len >= 1 && len <= JOB_REFERENCE_MAX && visible_ascii(reference, len);
}

bool job_method_valid(const char *method, size_t len)
{
    return len >= 1 && len <= JOB_METHOD_MAX && visible_ascii(method, len);
}

bool job_customer_valid(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '.' || !job_sku_valid(text + i, 1))
            return false;
    return len >= 1 && len <= JOB_CUSTOMER_MAX;
}

bool job_challenge_valid(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] != '.' && text[i] != '-' && !job_sku_valid(text + i, 1))
            return false;
    return len >= 1 && len <= JOB_CHALLENGE_MAX;
}

/* The bytes until the next blank, or the end. */
static size_t word_len(const char *text, size_t len)
{
    const char *blank = memchr(text, ' ', len);
    return blank == NULL ? len : (size_t)(blank - text);
}

bool job_human_valid(const char *text, size_t len)
{
    if (len > JOB_HUMAN_MAX)
        return false;
    for (;;) {
        size_t word = word_len(text, len);
        if (!job_challenge_valid(text, word))
            return false;
        if (word == len)
            return true;
        text += word + 1;
        len -= word + 1;
    }
}

bool job_passed(const char *human, const char *challenge)
{
    size_t wanted = strlen(challenge);
    while (human != NULL && *human != '\0') {
        size_t word = strcspn(human, " ");
        if (word == wanted && memcmp(human, challenge, word) == 0)
            return true;
        human += word + (human[word] == ' ' ? 1 : 0);
    }
    return false;
}

/* Parts of 1 to 8 letters and digits, divided by hyphens; the first one is of 2 letters at least.
 */
bool job_locale_valid(const char *text, size_t len)
{
    size_t part = 0;
    bool first = true;
    if (len < 2 || len > JOB_LOCALE_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (c == '-') {
            if (part < (first ? 2 : 1))
                return false;
            first = false;
            part = 0;
        } else if ((!letter && (first || c < '0' || c > '9')) || ++part > 8) {
            return false;
        }
    }
    return part >= (first ? 2 : 1);
}

static bool hex_lower(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return true;
}

static bool all_zero(const char *text, size_t len)
{
    return strspn(text, "0") >= len;
}

/* version-format of W3C Trace Context: 00-<32 hex>-<16 hex>-<2 hex>, ids not all zero */
bool job_traceparent_valid(const char *text, size_t len)
{
    return len == JOB_TRACEPARENT_MAX && memcmp(text, "00-", 3) == 0 && text[35] == '-' &&
           text[52] == '-' && hex_lower(text + 3, 32) && hex_lower(text + 36, 16) &&
           hex_lower(text + 53, 2) && !all_zero(text + 3, 32) && !all_zero(text + 36, 16);
}
