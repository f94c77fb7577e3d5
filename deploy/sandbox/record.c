#include "deploy/sandbox/record_impl.h"

#include <string.h>
#include <xxhash.h>

#include "common/base/err.h"

#define SALT_LEN 8

const char *const record_kinds[KINDS] = {"opened",   "charge",  "cancel",        "refund",
                                         "failed",   "confirm", "refund-change", "method",
                                         "customer", "dispute"};
const char *const record_intent_statuses[INTENT_STATUSES] = {
    "succeeded",  "requires_action",       "requires_payment_method", "canceled",
    "processing", "requires_confirmation", "requires_capture"};
const char *const record_refund_statuses[REFUND_STATUSES] = {"succeeded", "pending", "failed"};
const char *const record_dispute_statuses[DISPUTE_STATUSES] = {"needs_response", "won", "lost"};
static const char hex_digits[] = "0123456789abcdef";

const char *intent_status_text(enum intent_status status)
{
    return record_intent_statuses[status];
}

const char *refund_status_text(enum refund_status status)
{
    return record_refund_statuses[status];
}

const char *dispute_status_text(enum dispute_status status)
{
    return record_dispute_statuses[status];
}

bool record_changes_intent(const struct record *record)
{
    switch (record->kind) {
    case RECORD_CHARGE:
    case RECORD_CHANGE:
    case RECORD_REFUND:
    case RECORD_CONFIRM:
    case RECORD_REFUND_CHANGE:
    case RECORD_DISPUTE:
        return true;
    case RECORD_OPENED:
    case RECORD_FAILED:
    case RECORD_METHOD:
    case RECORD_CUSTOMER:
        return false;
    }
    return false;
}

/* ---- ids ---- */

void record_write_hex(char *out, uint64_t number, size_t len)
{
    for (size_t i = len; i-- > 0; number >>= 4)
        out[i] = hex_digits[number & 15];
}

int record_read_hex(const char *text, size_t len, uint64_t *ret_number)
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
    record_write_hex(ret_id + len, salt, SALT_LEN);
    record_write_hex(ret_id + len + SALT_LEN, number, NUMBER_LEN);
    ret_id[len + SALT_LEN + NUMBER_LEN] = '\0';
}

int record_number(const char *id, const char *prefix, uint32_t salt, uint64_t *ret_number)
{
    size_t len = strlen(prefix);
    uint64_t found_salt;
    uint64_t number;
    if (strncmp(id, prefix, len) != 0 || strlen(id) != len + SALT_LEN + NUMBER_LEN ||
        record_read_hex(id + len, SALT_LEN, &found_salt) < 0 || found_salt != salt ||
        record_read_hex(id + len + SALT_LEN, NUMBER_LEN, &number) < 0)
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

/* Nothing if there is none. */
static void write_optional(struct buf *out, const char *name, uint64_t number)
{
    if (number != RECORD_NONE)
        write_number(out, name, (int64_t)number);
}

static void write_text(struct buf *out, const char *name, const char *text)
{
    if (text == NULL)
        return;
    (void)buf_str(out, name);
    (void)buf_json_str(out, text);
}

static void write_flag(struct buf *out, const char *name, bool set)
{
    if (set)
        (void)buf_str(out, name);
}

static void write_intent(struct buf *out, const struct intent *intent)
{
    write_number(out, ",\"number\":", (int64_t)intent->number);
    write_text(out, ",\"status\":", intent_status_text(intent->status));
    write_number(out, ",\"amount\":", intent->amount);
    write_number(out, ",\"received\":", intent->received);
    write_number(out, ",\"refunded\":", intent->refunded);
    write_number(out, ",\"created\":", intent->created);
    if (intent->due_ms > 0)
        write_number(out, ",\"due\":", intent->due_ms);
    write_optional(out, ",\"pm\":", intent->method);
    write_optional(out, ",\"cus\":", intent->customer);
    write_flag(out, ",\"live\":true", intent->live);
    write_flag(out, ",\"manual\":true", intent->manual);
    write_flag(out, ",\"disputed\":true", intent->disputed);
    write_text(out, ",\"currency\":", intent->currency);
    write_text(out, ",\"card\":", intent->card);
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
    write_text(out, ",\"status\":", refund_status_text(refund->status));
    write_number(out, ",\"amount\":", refund->amount);
    write_number(out, ",\"created\":", refund->created);
    if (refund->due_ms > 0) {
        write_number(out, ",\"due\":", refund->due_ms);
        write_text(out, ",\"ends\":", refund_status_text(refund->ends));
    }
    write_text(out, ",\"reason\":", refund->reason);
    (void)buf_str(out, ",\"metadata\":");
    (void)buf_str(out, refund->metadata);
    (void)buf_char(out, '}');
}

static void write_method(struct buf *out, const struct method *method)
{
    write_number(out, ",\"method\":{\"number\":", (int64_t)method->number);
    write_text(out, ",\"card\":", method->card);
    write_number(out, ",\"created\":", method->created);
    write_optional(out, ",\"cus\":", method->customer);
    write_flag(out, ",\"consumed\":true", method->consumed);
    (void)buf_char(out, '}');
}

static void write_customer(struct buf *out, const struct customer *customer)
{
    write_number(out, ",\"customer\":{\"number\":", (int64_t)customer->number);
    write_number(out, ",\"created\":", customer->created);
    write_text(out, ",\"email\":", customer->email);
    write_text(out, ",\"name\":", customer->name);
    (void)buf_str(out, ",\"metadata\":");
    (void)buf_str(out, customer->metadata);
    (void)buf_char(out, '}');
}

static void write_dispute(struct buf *out, const struct dispute *dispute)
{
    write_number(out, ",\"dispute\":{\"number\":", (int64_t)dispute->number);
    write_text(out, ",\"status\":", dispute_status_text(dispute->status));
    write_number(out, ",\"amount\":", dispute->amount);
    write_number(out, ",\"created\":", dispute->created);
    write_text(out, ",\"reason\":", dispute->reason);
    (void)buf_char(out, '}');
}

static void write_failure(struct buf *out, const struct answer_error *failure)
{
    write_number(out, ",\"failure\":{\"status\":", (int64_t)failure->status);
    write_text(out, ",\"type\":", failure->type);
    write_text(out, ",\"code\":", failure->code);
    write_text(out, ",\"param\":", failure->param);
    write_text(out, ",\"message\":", failure->message);
    write_text(out, ",\"decline_code\":", failure->decline_code);
    write_text(out, ",\"message_code\":", failure->message_code);
    (void)buf_char(out, '}');
}

static void write_key(struct buf *out, const struct record *record)
{
    char fingerprint[NUMBER_LEN + 1] = {0};
    record_write_hex(fingerprint, record->fingerprint, NUMBER_LEN);
    write_text(out, ",\"key\":", record->key);
    write_text(out, ",\"fingerprint\":", fingerprint);
    write_number(out, ",\"used\":", record->used);
}

static void write_json(struct buf *out, const struct record *record)
{
    write_text(out, "{\"kind\":", record_kinds[record->kind]);
    if (record->kind == RECORD_OPENED)
        write_number(out, ",\"salt\":", record->salt);
    if (record->key != NULL)
        write_key(out, record);
    if (record->error != 0)
        write_number(out, ",\"error\":", record->error);
    write_flag(out, ",\"shown\":true", record->shown);
    if (record_changes_intent(record) || record->shown)
        write_intent(out, &record->intent);
    if (record->kind == RECORD_REFUND || record->kind == RECORD_REFUND_CHANGE)
        write_refund(out, &record->refund);
    if (record->method.card != NULL)
        write_method(out, &record->method);
    if (record->kind == RECORD_CUSTOMER)
        write_customer(out, &record->customer);
    if (record->kind == RECORD_DISPUTE)
        write_dispute(out, &record->dispute);
    if (record->failure.status != 0)
        write_failure(out, &record->failure);
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
    record_write_hex(out->data + start, XXH3_64bits(out->data + json, out->len - json - 1),
                     CHECKSUM_LEN);
    return 0;
}
