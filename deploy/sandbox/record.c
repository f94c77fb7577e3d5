#include "deploy/sandbox/record.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/base/err.h"

#define CHECKSUM_LEN 16
#define SALT_LEN 8
#define NUMBER_LEN 16

static const char *const kinds[] = {"opened", "charge", "cancel", "refund", "failed"};
static const char *const statuses[] = {"succeeded", "requires_action", "requires_payment_method",
                                       "canceled"};
static const char hex_digits[] = "0123456789abcdef";

const char *intent_status_text(enum intent_status status)
{
    return statuses[status];
}

static void write_hex(char *out, uint64_t number, size_t len)
{
    for (size_t i = len; i-- > 0; number >>= 4)
        out[i] = hex_digits[number & 15];
}

/* Exactly `len` lower-case hexadecimal digits. */
static int read_hex(const char *text, size_t len, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < len; i++) {
        const char *digit = text[i] == '\0' ? NULL : strchr(hex_digits, text[i]);
        if (digit == NULL)
            return ERR_PARSE;
        number = number << 4 | (uint64_t)(digit - hex_digits);
    }
    *ret_number = number;
    return 0;
}

void record_id(char ret_id[RECORD_ID_SIZE], const char *prefix, uint32_t salt, uint64_t number)
{
    size_t len = strnlen(prefix, RECORD_ID_SIZE - SALT_LEN - NUMBER_LEN - 1);
    memcpy(ret_id, prefix, len);
    write_hex(ret_id + len, salt, SALT_LEN);
    write_hex(ret_id + len + SALT_LEN, number, NUMBER_LEN);
    ret_id[len + SALT_LEN + NUMBER_LEN] = '\0';
}

int record_number(const char *id, const char *prefix, uint32_t salt, uint64_t *ret_number)
{
    size_t len = strlen(prefix);
    uint64_t found_salt;
    uint64_t number;
    if (strncmp(id, prefix, len) != 0 || strlen(id) != len + SALT_LEN + NUMBER_LEN ||
        read_hex(id + len, SALT_LEN, &found_salt) < 0 || found_salt != salt ||
        read_hex(id + len + SALT_LEN, NUMBER_LEN, &number) < 0)
        return ERR_NOT_FOUND;
    *ret_number = number;
    return 0;
}

/* ---- writing ---- */

static void write_number(struct buf *out, const char *name, int64_t number)
{
    (void)buf_str(out, name);
    (void)buf_int(out, number);
}

static void write_text(struct buf *out, const char *name, const char *text)
{
    if (text == NULL)
        return;
    (void)buf_str(out, name);
    (void)buf_json_str(out, text);
}

static void write_intent(struct buf *out, const struct intent *intent)
{
    write_number(out, ",\"number\":", (int64_t)intent->number);
    write_text(out, ",\"status\":", statuses[intent->status]);
    write_number(out, ",\"amount\":", intent->amount);
    write_number(out, ",\"refunded\":", intent->refunded);
    write_number(out, ",\"created\":", intent->created);
    write_text(out, ",\"currency\":", intent->currency);
    write_text(out, ",\"method\":", intent->method);
    write_text(out, ",\"description\":", intent->description);
    write_text(out, ",\"receipt_email\":", intent->receipt_email);
    write_text(out, ",\"bank\":", intent->bank);
    write_text(out, ",\"return_url\":", intent->return_url);
    (void)buf_str(out, ",\"metadata\":");
    (void)buf_str(out, intent->metadata);
}

static void write_refund(struct buf *out, const struct refund *refund)
{
    write_number(out, ",\"refund\":{\"number\":", (int64_t)refund->number);
    write_number(out, ",\"amount\":", refund->amount);
    write_number(out, ",\"created\":", refund->created);
    write_text(out, ",\"reason\":", refund->reason);
    (void)buf_str(out, ",\"metadata\":");
    (void)buf_str(out, refund->metadata);
    (void)buf_char(out, '}');
}

static void write_json(struct buf *out, const struct record *record)
{
    write_text(out, "{\"kind\":", kinds[record->kind]);
    if (record->kind == RECORD_OPENED)
        write_number(out, ",\"salt\":", record->salt);
    if (record->key != NULL) {
        char fingerprint[NUMBER_LEN + 1] = {0};
        write_hex(fingerprint, record->fingerprint, NUMBER_LEN);
        write_text(out, ",\"key\":", record->key);
        write_text(out, ",\"fingerprint\":", fingerprint);
    }
    if (record->error != 0)
        write_number(out, ",\"error\":", record->error);
    if (record->kind == RECORD_CHARGE || record->kind == RECORD_CANCEL ||
        record->kind == RECORD_REFUND)
        write_intent(out, &record->intent);
    if (record->kind == RECORD_REFUND)
        write_refund(out, &record->refund);
    (void)buf_char(out, '}');
}

int record_write(const struct record *record, struct buf *out)
{
    static const char blank[CHECKSUM_LEN + 1] = "                 ";
    size_t start = out->len;
    (void)buf_append(out, blank, sizeof blank);
    size_t json = out->len;
    write_json(out, record);
    (void)buf_char(out, '\n');
    if (out->failed)
        return ERR_FULL;
    write_hex(out->data + start, XXH3_64bits(out->data + json, out->len - json - 1), CHECKSUM_LEN);
    return 0;
}

/* ---- reading ---- */

/* Reads members of an object; remembers whether one was not as it must be. */
struct reader {
    const json_t *object;
    bool failed;
};

static int64_t number_of(struct reader *reader, const char *name, json_int_t most)
{
    const json_t *value = json_object_get(reader->object, name);
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || number > most)
        reader->failed = true;
    return number;
}

static const char *optional_text(struct reader *reader, const char *name)
{
    const json_t *value = json_object_get(reader->object, name);
    if (value != NULL && !json_is_string(value))
        reader->failed = true;
    return json_string_value(value);
}

static const char *text_of(struct reader *reader, const char *name)
{
    const char *text = optional_text(reader, name);
    if (text == NULL)
        reader->failed = true;
    return text == NULL ? "" : text;
}

static size_t choice_of(struct reader *reader, const char *name, const char *const *choices,
                        size_t count)
{
    const char *text = text_of(reader, name);
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, choices[i]) == 0)
            return i;
    reader->failed = true;
    return 0;
}

/* A new text. */
static char *object_of(struct reader *reader, const char *name)
{
    const json_t *value = json_object_get(reader->object, name);
    char *text = json_is_object(value) ? json_dumps(value, JSON_COMPACT) : NULL;
    if (text == NULL)
        reader->failed = true;
    return text;
}

static void read_intent(struct reader *reader, struct record *record)
{
    record->memory[1] = object_of(reader, "metadata");
    record->intent = (struct intent){
        .number = (uint64_t)number_of(reader, "number", INT64_MAX),
        .status = (enum intent_status)choice_of(reader, "status", statuses, ARRAY_LEN(statuses)),
        .amount = number_of(reader, "amount", INT64_MAX),
        .refunded = number_of(reader, "refunded", INT64_MAX),
        .created = number_of(reader, "created", INT64_MAX),
        .currency = text_of(reader, "currency"),
        .method = text_of(reader, "method"),
        .description = optional_text(reader, "description"),
        .receipt_email = optional_text(reader, "receipt_email"),
        .metadata = record->memory[1],
        .bank = optional_text(reader, "bank"),
        .return_url = optional_text(reader, "return_url"),
    };
}

static void read_refund(struct reader *reader, struct record *record)
{
    struct reader inner = {.object = json_object_get(reader->object, "refund")};
    record->memory[2] = object_of(&inner, "metadata");
    record->refund = (struct refund){
        .number = (uint64_t)number_of(&inner, "number", INT64_MAX),
        .amount = number_of(&inner, "amount", INT64_MAX),
        .created = number_of(&inner, "created", INT64_MAX),
        .reason = optional_text(&inner, "reason"),
        .metadata = record->memory[2],
    };
    reader->failed = reader->failed || inner.failed;
}

static void read_members(struct reader *reader, struct record *record)
{
    record->kind = (enum record_kind)choice_of(reader, "kind", kinds, ARRAY_LEN(kinds));
    if (record->kind == RECORD_OPENED)
        record->salt = (uint32_t)number_of(reader, "salt", UINT32_MAX);
    record->key = optional_text(reader, "key");
    if (record->key != NULL) {
        const char *fingerprint = text_of(reader, "fingerprint");
        if (strlen(fingerprint) != NUMBER_LEN ||
            read_hex(fingerprint, NUMBER_LEN, &record->fingerprint) < 0)
            reader->failed = true;
    }
    if (json_object_get(reader->object, "error") != NULL)
        record->error = (unsigned)number_of(reader, "error", 599);
    if (record->kind == RECORD_CHARGE || record->kind == RECORD_CANCEL ||
        record->kind == RECORD_REFUND)
        read_intent(reader, record);
    if (record->kind == RECORD_REFUND)
        read_refund(reader, record);
}

int record_read(const char *line, size_t len, struct record *ret_record)
{
    uint64_t checksum;
    if (len <= CHECKSUM_LEN + 1 || line[CHECKSUM_LEN] != ' ' ||
        read_hex(line, CHECKSUM_LEN, &checksum) < 0)
        return ERR_PARSE;
    const char *json = line + CHECKSUM_LEN + 1;
    size_t json_len = len - CHECKSUM_LEN - 1;
    if (XXH3_64bits(json, json_len) != checksum)
        return ERR_PARSE;
    struct record record = {0};
    record.memory[0] = json_loadb(json, json_len, JSON_REJECT_DUPLICATES, NULL);
    struct reader reader = {.object = record.memory[0]};
    read_members(&reader, &record);
    if (reader.failed) {
        record_free(&record);
        return ERR_INVALID;
    }
    *ret_record = record;
    return 0;
}

void record_free(struct record *record)
{
    json_decref(record->memory[0]);
    free(record->memory[1]);
    free(record->memory[2]);
    *record = (struct record){0};
}
