#include "deploy/sandbox/record_impl.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/base/err.h"

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

static int64_t number_or(struct reader *reader, const char *name, int64_t fallback)
{
    return json_object_get(reader->object, name) == NULL ? fallback
                                                         : number_of(reader, name, INT64_MAX);
}

/* The number of another object. */
static uint64_t reference_of(struct reader *reader, const char *name)
{
    return json_object_get(reader->object, name) == NULL
               ? RECORD_NONE
               : (uint64_t)number_of(reader, name, INT64_MAX);
}

static bool flag_of(struct reader *reader, const char *name)
{
    return json_is_true(json_object_get(reader->object, name));
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

static enum refund_status refund_status_of(struct reader *reader, const char *name)
{
    if (json_object_get(reader->object, name) == NULL)
        return REFUND_SUCCEEDED; /* as in older ledgers */
    return (enum refund_status)choice_of(reader, name, record_refund_statuses, REFUND_STATUSES);
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

static void parse_intent(struct reader *reader, struct record *record)
{
    record->memory[1] = object_of(reader, "metadata");
    record->intent = (struct intent){
        .number = (uint64_t)number_of(reader, "number", INT64_MAX),
        .status = (enum intent_status)choice_of(reader, "status", record_intent_statuses,
                                                INTENT_STATUSES),
        .amount = number_of(reader, "amount", INT64_MAX),
        .refunded = number_of(reader, "refunded", INT64_MAX),
        .created = number_of(reader, "created", INT64_MAX),
        .due_ms = number_or(reader, "due", 0),
        .method = reference_of(reader, "pm"),
        .customer = reference_of(reader, "cus"),
        .live = flag_of(reader, "live"),
        .manual = flag_of(reader, "manual"),
        .disputed = flag_of(reader, "disputed"),
        .currency = text_of(reader, "currency"),
        .card = optional_text(reader, "card"),
        .description = optional_text(reader, "description"),
        .receipt_email = optional_text(reader, "receipt_email"),
        .metadata = record->memory[1],
        .bank = optional_text(reader, "bank"),
        .return_url = optional_text(reader, "return_url"),
    };
    struct intent *intent = &record->intent;
    int64_t all = intent->status == INTENT_SUCCEEDED ? intent->amount : 0;
    intent->received = number_or(reader, "received", all);
    const json_t *method = json_object_get(reader->object, "method");
    if (intent->card == NULL && json_is_string(method)) /* as in older ledgers */
        intent->card = json_string_value(method);
}

static void parse_refund(struct reader *reader, struct record *record)
{
    struct reader inner = {.object = json_object_get(reader->object, "refund")};
    record->memory[2] = object_of(&inner, "metadata");
    record->refund = (struct refund){
        .number = (uint64_t)number_of(&inner, "number", INT64_MAX),
        .status = refund_status_of(&inner, "status"),
        .ends = refund_status_of(&inner, "ends"),
        .amount = number_of(&inner, "amount", INT64_MAX),
        .created = number_of(&inner, "created", INT64_MAX),
        .due_ms = number_or(&inner, "due", 0),
        .reason = optional_text(&inner, "reason"),
        .metadata = record->memory[2],
    };
    reader->failed = reader->failed || inner.failed;
}

static void parse_method(struct reader *reader, struct record *record)
{
    struct reader inner = {.object = json_object_get(reader->object, "method")};
    record->method = (struct method){
        .number = (uint64_t)number_of(&inner, "number", INT64_MAX),
        .card = text_of(&inner, "card"),
        .customer = reference_of(&inner, "cus"),
        .created = number_of(&inner, "created", INT64_MAX),
        .consumed = flag_of(&inner, "consumed"),
    };
    reader->failed = reader->failed || inner.failed;
}

static void parse_customer(struct reader *reader, struct record *record)
{
    struct reader inner = {.object = json_object_get(reader->object, "customer")};
    record->memory[3] = object_of(&inner, "metadata");
    record->customer = (struct customer){
        .number = (uint64_t)number_of(&inner, "number", INT64_MAX),
        .created = number_of(&inner, "created", INT64_MAX),
        .email = optional_text(&inner, "email"),
        .name = optional_text(&inner, "name"),
        .metadata = record->memory[3],
    };
    reader->failed = reader->failed || inner.failed;
}

static void parse_dispute(struct reader *reader, struct record *record)
{
    struct reader inner = {.object = json_object_get(reader->object, "dispute")};
    record->dispute = (struct dispute){
        .number = (uint64_t)number_of(&inner, "number", INT64_MAX),
        .status = (enum dispute_status)choice_of(&inner, "status", record_dispute_statuses,
                                                 DISPUTE_STATUSES),
        .amount = number_of(&inner, "amount", INT64_MAX),
        .created = number_of(&inner, "created", INT64_MAX),
        .reason = text_of(&inner, "reason"),
    };
    reader->failed = reader->failed || inner.failed;
}

static void parse_failure(struct reader *reader, struct record *record)
{
    struct reader inner = {.object = json_object_get(reader->object, "failure")};
    record->failure = (struct answer_error){
        .status = (unsigned)number_of(&inner, "status", 599),
        .type = text_of(&inner, "type"),
        .code = optional_text(&inner, "code"),
        .param = optional_text(&inner, "param"),
        .message = text_of(&inner, "message"),
        .decline_code = optional_text(&inner, "decline_code"),
        .message_code = optional_text(&inner, "message_code"),
    };
    reader->failed = reader->failed || inner.failed;
}

static void parse_key(struct reader *reader, struct record *record)
{
    const char *fingerprint = text_of(reader, "fingerprint");
    record->used = number_or(reader, "used", 0);
    if (strlen(fingerprint) != NUMBER_LEN ||
        record_read_hex(fingerprint, NUMBER_LEN, &record->fingerprint) < 0)
        reader->failed = true;
}

static void parse_members(struct reader *reader, struct record *record)
{
    record->kind = (enum record_kind)choice_of(reader, "kind", record_kinds, KINDS);
    if (record->kind == RECORD_OPENED)
        record->salt = (uint32_t)number_of(reader, "salt", UINT32_MAX);
    record->key = optional_text(reader, "key");
    if (record->key != NULL)
        parse_key(reader, record);
    record->error = (unsigned)number_or(reader, "error", 0);
    record->shown = flag_of(reader, "shown");
    if (record_changes_intent(record) || record->shown)
        parse_intent(reader, record);
    if (record->kind == RECORD_REFUND || record->kind == RECORD_REFUND_CHANGE)
        parse_refund(reader, record);
    if (json_is_object(json_object_get(reader->object, "method")))
        parse_method(reader, record);
    if (record->kind == RECORD_CUSTOMER)
        parse_customer(reader, record);
    if (record->kind == RECORD_DISPUTE)
        parse_dispute(reader, record);
    if (json_object_get(reader->object, "failure") != NULL)
        parse_failure(reader, record);
}

int record_read(const char *line, size_t len, struct record *ret_record)
{
    uint64_t checksum;
    if (len <= CHECKSUM_LEN + 1 || line[CHECKSUM_LEN] != ' ' ||
        record_read_hex(line, CHECKSUM_LEN, &checksum) < 0)
        return ERR_PARSE;
    const char *json = line + CHECKSUM_LEN + 1;
    size_t json_len = len - CHECKSUM_LEN - 1;
    if (XXH3_64bits(json, json_len) != checksum)
        return ERR_PARSE;
    struct record record = {0};
    record.memory[0] = json_loadb(json, json_len, JSON_REJECT_DUPLICATES, NULL);
    struct reader reader = {.object = record.memory[0]};
    parse_members(&reader, &record);
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
    for (size_t i = 1; i < ARRAY_LEN(record->memory); i++)
        free(record->memory[i]);
    *record = (struct record){0};
}
