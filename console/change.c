#include "console/change.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/json_reader.h"

#define WISH_MAX ((size_t)16 * 1024)
#define UNITS_MAX INT32_MAX
#define NUMBER_SIZE 24

const char *change_word(enum change_kind kind)
{
    static const char *const words[] = {
        [CHANGE_CREATE] = "create", [CHANGE_SET] = "set",         [CHANGE_RESTOCK] = "restock",
        [CHANGE_PAUSE] = "pause",   [CHANGE_RESUME] = "resume",   [CHANGE_REFUND] = "refund",
        [CHANGE_CANCEL] = "cancel", [CHANGE_RESOLVE] = "resolve", [CHANGE_REPLAY] = "replay",
    };
    return words[kind];
}

/* A body that is read. */
struct reading {
    struct change *change;
    struct problem *problem;
    bool given[ITEMS_COLUMNS];
    size_t fields; /* of an item */
    int64_t units;
    int64_t payment; /* 0: not said */
    bool restock;
    bool own;
};

static void wrong(struct reading *r, const struct json_reader_member *m, const char *detail)
{
    problem_add(r->problem, (struct problem_error){
                                .detail = detail, .member = m->name, .member_len = m->name_len});
}

static void wrong_member(struct reading *r, const char *name, const char *detail)
{
    problem_add(r->problem, (struct problem_error){
                                .detail = detail, .member = name, .member_len = strlen(name)});
}

/* ---- the fields of an item ---- */

static bool is_number(size_t field)
{
    return field == ITEMS_PRICE || field == ITEMS_STOCK || field == ITEMS_LIMIT_PER_USER;
}

static bool may_be_null(size_t field)
{
    return field == ITEMS_LIMIT_PER_USER || field == ITEMS_OPENS_AT || field == ITEMS_CLOSES_AT ||
           field == ITEMS_CHALLENGE;
}

/* A field's value as people would write it; NULL: it is of another type. */
static const char *value_of(size_t field, const struct json_reader_member *m,
                            char number[NUMBER_SIZE])
{
    if (is_number(field) != (m->kind == JSON_READER_NUMBER))
        return NULL;
    if (m->kind == JSON_READER_STRING)
        return strlen(m->text) == m->len ? m->text : NULL;
    if (m->kind != JSON_READER_NUMBER || m->len >= NUMBER_SIZE)
        return NULL;
    memcpy(number, m->text, m->len);
    number[m->len] = '\0';
    return number;
}

static void read_field(struct reading *r, size_t field, const struct json_reader_member *m)
{
    char number[NUMBER_SIZE];
    r->given[field] = true;
    r->fields++;
    if (m->kind == JSON_READER_NULL && may_be_null(field))
        return;
    const char *value = value_of(field, m, number);
    const char *problem = value != NULL      ? items_field_problem((enum items_column)field, value)
                          : is_number(field) ? "must be a whole number"
                                             : "must be a string";
    if (problem != NULL)
        wrong(r, m, problem);
    else
        r->change->fields[field] = items_field_copy((enum items_column)field, value);
}

static bool takes_field(const struct reading *r, size_t field)
{
    if (r->change->kind == CHANGE_SET)
        return field < ITEMS_COLUMNS && field != ITEMS_SKU && field != ITEMS_STOCK;
    return r->change->kind == CHANGE_CREATE && field < ITEMS_COLUMNS;
}

/* ---- all members ---- */

static void read_note(struct reading *r, const struct json_reader_member *m)
{
    bool good = m->kind == JSON_READER_STRING && m->len > 0 && m->len <= CHANGE_NOTE_MAX;
    for (size_t i = 0; good && i < m->len; i++)
        good = (unsigned char)m->text[i] >= ' ' && m->text[i] != 0x7f;
    if (!good) {
        wrong(r, m, "not a string of 1 to 500 bytes without control characters");
        return;
    }
    memcpy(r->change->note, m->text, m->len);
    r->change->has_note = true;
}

static void read_flag(struct reading *r, const struct json_reader_member *m, bool *ret_flag)
{
    if (m->kind != JSON_READER_BOOLEAN)
        wrong(r, m, "not true or false");
    else
        *ret_flag = m->truth;
}

static void read_outcome(struct reading *r, const struct json_reader_member *m)
{
    static const char *const outcomes[] = {"captured", "not-captured", "release", "refunded"};
    for (size_t i = 0; i < ARRAY_LEN(outcomes) && m->kind == JSON_READER_STRING; i++)
        if (m->len == strlen(outcomes[i]) && memcmp(m->text, outcomes[i], m->len) == 0)
            r->change->outcome = outcomes[i];
    if (r->change->outcome == NULL)
        wrong(r, m, "not captured, not-captured, release or refunded");
}

static void read_payment(struct reading *r, const struct json_reader_member *m)
{
    if (!json_reader_whole(m, 1, INT32_MAX, &r->payment))
        wrong(r, m, "not the number of an attempt");
}

static bool read_refund(struct reading *r, const struct json_reader_member *m)
{
    if (json_reader_named(m, "restock"))
        read_flag(r, m, &r->restock);
    else if (json_reader_named(m, "own"))
        read_flag(r, m, &r->own);
    else if (json_reader_named(m, "payment"))
        read_payment(r, m);
    else
        return false;
    return true;
}

static void read_member(struct reading *r, const struct json_reader_member *m)
{
    enum change_kind kind = r->change->kind;
    size_t field = items_field_of(m->name, m->name_len);
    bool exact = field < ITEMS_COLUMNS && json_reader_named(m, items_field_names[field]);
    if (m->twice)
        wrong(r, m, "this member is there twice");
    else if (json_reader_named(m, "note"))
        read_note(r, m);
    else if (exact && takes_field(r, field))
        read_field(r, field, m);
    else if (kind == CHANGE_RESTOCK && json_reader_named(m, "units")) {
        if (!json_reader_whole(m, -UNITS_MAX, UNITS_MAX, &r->units) || r->units == 0)
            wrong(r, m, "not a number of units to add (or, below 0, to remove)");
    } else if (kind == CHANGE_RESOLVE && json_reader_named(m, "outcome")) {
        read_outcome(r, m);
    } else if (kind == CHANGE_RESOLVE && json_reader_named(m, "payment")) {
        read_payment(r, m);
    } else if (kind != CHANGE_REFUND || !read_refund(r, m))
        wrong(r, m, "there is no such member");
}

static bool has_member(const struct json_reader *object, const char *name)
{
    for (size_t i = 0; i < object->count; i++)
        if (json_reader_named(&object->members[i], name))
            return true;
    return false;
}

/* What must be there, and what fits together. */
static void check_whole(struct reading *r, const struct json_reader *object)
{
    const struct change *change = r->change;
    for (size_t i = 0; i < ITEMS_REQUIRED && change->kind == CHANGE_CREATE; i++)
        if (!r->given[i])
            wrong_member(r, items_field_names[i], "this member is required");
    if (change->kind == CHANGE_RESTOCK && !has_member(object, "units"))
        wrong_member(r, "units", "this member is required");
    if (change->kind == CHANGE_RESOLVE && change->outcome == NULL)
        wrong_member(r, "outcome", "this member is required");
    if (change->kind == CHANGE_RESOLVE && change->outcome != NULL && r->payment > 0 &&
        strcmp(change->outcome, "refunded") != 0)
        wrong_member(r, "payment", "it goes with refunded alone");
    if ((change->kind == CHANGE_RESOLVE || change->kind == CHANGE_REPLAY) && !change->has_note)
        wrong_member(r, "note", "this member is required");
    if (change->kind == CHANGE_SET && r->fields == 0)
        problem_add(r->problem, (struct problem_error){.detail = "it changes nothing"});
    if (!items_field_lasts(change->fields[ITEMS_OPENS_AT], change->fields[ITEMS_CLOSES_AT]))
        wrong_member(r, items_field_names[ITEMS_CLOSES_AT], "is not after opens_at");
}

/* ---- what is kept of it ---- */

static void write_fields(const struct reading *r, struct buf *out)
{
    bool first = true;
    (void)buf_char(out, '{');
    for (size_t i = 0; i < ITEMS_COLUMNS; i++) {
        const char *value = r->change->fields[i];
        if (!r->given[i] || (value == NULL && r->change->kind == CHANGE_CREATE))
            continue;
        (void)buf_printf(out, "%s\"%s\":", first ? "" : ",", items_field_names[i]);
        first = false;
        if (value == NULL)
            (void)buf_str(out, "null");
        else if (is_number(i))
            (void)buf_str(out, value);
        else
            (void)buf_json_str(out, value);
    }
    (void)buf_char(out, '}');
}

static void write_refund(const struct reading *r, struct buf *out)
{
    (void)buf_printf(out, "{\"restock\":%s,\"own\":%s,\"payment\":", r->restock ? "true" : "false",
                     r->own ? "true" : "false");
    if (r->payment > 0)
        (void)buf_int(out, r->payment);
    else
        (void)buf_str(out, "null");
    (void)buf_str(out, ",\"note\":");
    if (r->change->has_note)
        (void)buf_json_str(out, r->change->note);
    else
        (void)buf_str(out, "null");
    (void)buf_char(out, '}');
}

static void write_resolve(const struct reading *r, struct buf *out)
{
    (void)buf_printf(out, "{\"outcome\":\"%s\",\"note\":", r->change->outcome);
    (void)buf_json_str(out, r->change->note);
    if (r->payment > 0) {
        (void)buf_str(out, ",\"payment\":");
        (void)buf_int(out, r->payment);
    }
    (void)buf_char(out, '}');
}

static int write_wish(const struct reading *r)
{
    struct change *change = r->change;
    switch (change->kind) {
    case CHANGE_CREATE:
    case CHANGE_SET:
        write_fields(r, &change->wish);
        break;
    case CHANGE_RESTOCK:
        (void)buf_str(&change->wish, "{\"units\":");
        (void)buf_int(&change->wish, r->units);
        (void)buf_char(&change->wish, '}');
        break;
    case CHANGE_REFUND:
        write_refund(r, &change->wish);
        break;
    case CHANGE_RESOLVE:
        write_resolve(r, &change->wish);
        break;
    case CHANGE_PAUSE:
    case CHANGE_RESUME:
    case CHANGE_CANCEL:
    case CHANGE_REPLAY:
        (void)buf_str(&change->wish, "{}");
        return change->wish.failed ? ERR_NOMEM : 0;
    }
    if (change->kind == CHANGE_RESTOCK || change->kind == CHANGE_REFUND ||
        change->kind == CHANGE_RESOLVE)
        (void)buf_str(&change->argument, buf_text(&change->wish));
    for (size_t i = 0; i < ITEMS_COLUMNS; i++)
        if (r->given[i] && change->fields[i] == NULL && !may_be_null(i))
            return ERR_NOMEM;
    return change->wish.failed || change->argument.failed ? ERR_NOMEM : 0;
}

/* ---- the whole ---- */

static void read_body(struct reading *r, const char *body, size_t len, char *scratch)
{
    struct json_reader object = {.count = 0};
    const char *detail;
    size_t position;
    if (len > 0 && json_reader_read(body, len, scratch, &object, &detail, &position) < 0) {
        problem_add(r->problem, (struct problem_error){.detail = detail});
        return;
    }
    for (size_t i = 0; i < object.count; i++)
        read_member(r, &object.members[i]);
    if (r->problem->error_count == 0)
        check_whole(r, &object);
}

int change_read(enum change_kind kind, const char *body, size_t len, char *scratch,
                struct change **ret_change, struct problem *problem)
{
    struct reading reading = {.problem = problem, .change = calloc(1, sizeof(struct change))};
    if (reading.change == NULL)
        return ERR_NOMEM;
    reading.change->kind = kind;
    buf_init(&reading.change->wish, WISH_MAX);
    buf_init(&reading.change->argument, WISH_MAX);
    read_body(&reading, body, len, scratch);
    int code = problem->error_count > 0 ? ERR_INVALID : write_wish(&reading);
    if (code == 0)
        *ret_change = reading.change;
    else
        change_free(reading.change);
    return code;
}

void change_free(struct change *change)
{
    if (change == NULL)
        return;
    for (size_t i = 0; i < ITEMS_COLUMNS; i++)
        free(change->fields[i]);
    buf_free(&change->wish);
    buf_free(&change->argument);
    free(change);
}

int change_check_price(struct change *change, const char *price, const char *currency,
                       char ret_rule[CURRENCY_RULE_SIZE])
{
    const char *new_price = change->fields[ITEMS_PRICE];
    const char *new_currency = change->fields[ITEMS_CURRENCY];
    bool changes = new_price != NULL || new_currency != NULL;
    if (changes && items_field_price(new_price != NULL ? new_price : price,
                                     new_currency != NULL ? new_currency : currency, ret_rule) < 0)
        return ERR_INVALID;
    if (change->kind != CHANGE_SET)
        return 0;
    buf_reset(&change->argument);
    (void)buf_printf(&change->argument,
                     "{\"set\":%s,\"price\":%s,\"currency\":", buf_text(&change->wish), price);
    (void)buf_json_str(&change->argument, currency);
    (void)buf_char(&change->argument, '}');
    return 0;
}
