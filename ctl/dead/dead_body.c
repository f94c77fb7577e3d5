#include "ctl/dead/dead_body.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/utf8.h"
#include "common/shop/job.h"
#include "common/shop/shard.h"
#include "ctl/orders/order_text.h"

#define SHOWN_MAX 64  /* bytes of one text */
#define RAW_SHOWN 512 /* bytes of a body that is no JSON */
#define DEPTH_MAX 8
#define MASK "***"
#define CARD_LEAST 1000000000000 /* a whole number from here on may be a card's */

struct dead_body {
    char *text;
    size_t len;
    json_t *root; /* NULL: no JSON */
};

struct dead_body *dead_body_new(const void *text, size_t len)
{
    struct dead_body *body = calloc(1, sizeof *body);
    if (body == NULL)
        return NULL;
    body->text = malloc(len + 1);
    if (body->text == NULL) {
        free(body);
        return NULL;
    }
    memcpy(body->text, text, len);
    body->text[len] = '\0';
    body->len = len;
    body->root = json_loadb(body->text, len, JSON_DECODE_ANY, NULL);
    return body;
}

void dead_body_free(struct dead_body *body)
{
    if (body == NULL)
        return;
    json_decref(body->root);
    free(body->text);
    free(body);
}

bool dead_body_is_json(const struct dead_body *body)
{
    return body->root != NULL;
}

/* ---- jobs ---- */

static const json_t *jobs_of(const struct dead_body *body)
{
    const json_t *jobs = json_object_get(body->root, "jobs");
    return json_is_array(jobs) ? jobs : NULL;
}

static bool is_single_job(const struct dead_body *body)
{
    return json_is_object(body->root) && jobs_of(body) == NULL &&
           json_object_get(body->root, "sku") != NULL;
}

size_t dead_body_jobs(const struct dead_body *body)
{
    return is_single_job(body) ? 1 : json_array_size(jobs_of(body));
}

static const json_t *job_at(const struct dead_body *body, size_t i)
{
    return is_single_job(body) ? body->root : json_array_get(jobs_of(body), i);
}

const char *dead_body_order(const struct dead_body *body, size_t i)
{
    const char *id = json_string_value(json_object_get(job_at(body, i), "order_id"));
    return id != NULL && order_text_is_id(id) ? id : NULL;
}

/* ---- masking ---- */

/* Members of a job whose values may be shown. */
static bool may_show(const char *name)
{
    static const char *const names[] = {
        "version",    "jobs",      "order_id",    "user_id",     "sku",         "quantity",
        "unit_price", "reference", "accepted_at", "fingerprint", "traceparent", "locale",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* A text that looks like an address or a payment method in the wrong place. */
static bool looks_secret(const char *text)
{
    static const char *const heads[] = {"pm_", "tok_", "card_", "src_", "pi_"};
    size_t digits = 0;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        if (strstr(text, heads[i]) != NULL)
            return true;
    for (const char *p = text; *p != '\0'; p++)
        digits = isdigit((unsigned char)*p) != 0 || *p == ' ' || *p == '-' ? digits + 1 : 0;
    return strchr(text, '@') != NULL || (digits >= 12 && !order_text_is_id(text));
}

static void mask_value(const json_t *value, const char *name, int depth, struct buf *out);

static void newline(struct buf *out, int depth)
{
    (void)buf_printf(out, "\n%*s", depth * 2, "");
}

static void mask_object(const json_t *object, int depth, struct buf *out)
{
    const char *comma = "";
    (void)buf_char(out, '{');
    for (void *member = json_object_iter((json_t *)object); member != NULL;
         member = json_object_iter_next((json_t *)object, member)) {
        const char *name = json_object_iter_key(member);
        (void)buf_str(out, comma);
        newline(out, depth + 1);
        (void)buf_json_str(out, looks_secret(name) ? MASK : name);
        (void)buf_str(out, ": ");
        mask_value(json_object_iter_value(member), name, depth + 1, out);
        comma = ",";
    }
    newline(out, depth);
    (void)buf_char(out, '}');
}

static void mask_array(const json_t *array, const char *name, int depth, struct buf *out)
{
    (void)buf_char(out, '[');
    for (size_t i = 0; i < json_array_size(array); i++) {
        (void)buf_str(out, i == 0 ? "" : ",");
        newline(out, depth + 1);
        mask_value(json_array_get(array, i), name, depth + 1, out);
    }
    newline(out, depth);
    (void)buf_char(out, ']');
}

/* A text or a number that must stay hidden. */
static bool is_secret(const json_t *value, const char *name)
{
    const char *text = json_string_value(value);
    json_int_t number = json_integer_value(value);
    return !may_show(name) || (text != NULL && looks_secret(text)) || number >= CARD_LEAST ||
           number <= -CARD_LEAST;
}

static void mask_value(const json_t *value, const char *name, int depth, struct buf *out)
{
    static const char *const words[] = {
        [JSON_TRUE] = "true", [JSON_FALSE] = "false", [JSON_NULL] = "null"};
    json_type type = json_typeof(value);
    bool holds = type == JSON_OBJECT || type == JSON_ARRAY; /* its parts are masked */
    if (depth > DEPTH_MAX || (!holds && words[type] == NULL && is_secret(value, name)))
        (void)buf_str(out, "\"" MASK "\"");
    else if (type == JSON_OBJECT)
        mask_object(value, depth, out);
    else if (type == JSON_ARRAY)
        mask_array(value, name, depth, out);
    else if (type == JSON_STRING)
        (void)buf_json_strn(
            out, json_string_value(value),
            utf8_cut(json_string_value(value), strnlen(json_string_value(value), SHOWN_MAX)));
    else if (type == JSON_INTEGER)
        (void)buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (type == JSON_REAL)
        (void)buf_printf(out, "%g", json_real_value(value));
    else
        (void)buf_str(out, words[type]);
}

/* A word of a body that is no JSON: kept if it is the name of a member, an order id or a small
 * number. */
static bool may_show_word(const char *word, size_t len)
{
    char copy[SHOWN_MAX];
    if (len >= sizeof copy)
        return false;
    memcpy(copy, word, len);
    copy[len] = '\0';
    if (may_show(copy) || order_text_is_id(copy))
        return true;
    return len <= 6 && strspn(copy, "0123456789") == len;
}

static bool in_word(char c)
{
    return isalnum((unsigned char)c) != 0 || (unsigned char)c >= 0x80 ||
           (c != '\0' && strchr("_-.@+", c) != NULL);
}

static void mask_raw(const struct dead_body *body, struct buf *out)
{
    size_t end = body->len < RAW_SHOWN ? body->len : RAW_SHOWN;
    for (size_t i = 0; i < end;) {
        size_t len = 0;
        while (i + len < end && in_word(body->text[i + len]))
            len++;
        if (len > 0 && may_show_word(body->text + i, len))
            (void)buf_append(out, body->text + i, len);
        else if (len > 0)
            (void)buf_str(out, MASK);
        else
            (void)buf_char(out, isprint((unsigned char)body->text[i]) != 0 ? body->text[i] : '?');
        i += len > 0 ? len : 1;
    }
    if (end < body->len)
        (void)buf_str(out, " ...");
}

void dead_body_mask(const struct dead_body *body, struct buf *out)
{
    if (body->root == NULL)
        mask_raw(body, out);
    else
        mask_value(body->root, "", 0, out);
}

/* ---- replay ---- */

static const char *first_sku(const struct dead_body *body)
{
    for (size_t i = 0; i < dead_body_jobs(body); i++) {
        const char *sku = json_string_value(json_object_get(job_at(body, i), "sku"));
        if (sku != NULL && job_sku_valid(sku, strlen(sku)))
            return sku;
    }
    return NULL;
}

static size_t readable_jobs(const struct job_batch *batch, const char **problem)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->entries[i].verdict != JOB_UNREADABLE)
            count++;
        else
            *problem = batch->entries[i].problem;
    }
    return count;
}

int dead_body_message(const struct dead_body *body, uint32_t shards, struct ids *ids,
                      struct buf *out, uint32_t *ret_shard, size_t *ret_jobs,
                      const char **ret_problem)
{
    const char *problem = "no job in it can be read";
    const char *sku = first_sku(body);
    struct job_batch batch;
    if (sku == NULL) {
        *ret_problem = problem;
        return ERR_PARSE;
    }
    uint32_t shard = shard_of(sku, strlen(sku), shards);
    bool single = is_single_job(body);
    (void)buf_str(out, single ? JOB_MESSAGE_HEAD : "");
    (void)buf_append(out, body->text, body->len);
    (void)buf_str(out, single ? JOB_MESSAGE_TAIL : "");
    if (out->failed)
        return ERR_NOMEM;
    int code = job_batch_parse(out->data, out->len, shard, shards, ids, &batch, &problem);
    if (code == 0) {
        size_t jobs = readable_jobs(&batch, &problem);
        job_batch_free(&batch);
        *ret_shard = shard;
        *ret_jobs = jobs;
        code = jobs > 0 ? 0 : ERR_PARSE;
    }
    if (code < 0)
        *ret_problem = problem;
    return code;
}
