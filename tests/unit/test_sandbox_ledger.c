#include "deploy/sandbox/ledger.h"

#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/base/err.h"
#include "deploy/sandbox/answer.h"
#include "deploy/sandbox/store.h"

static const struct record charge = {.kind = RECORD_CHARGE,
                                     .key = "key \"1\"",
                                     .fingerprint = UINT64_C(0xfedcba9876543210),
                                     .intent = {.number = 0,
                                                .status = INTENT_SUCCEEDED,
                                                .amount = 4900,
                                                .created = 1700000000,
                                                .currency = "eur",
                                                .received = 4900,
                                                .method = 3,
                                                .customer = RECORD_NONE,
                                                .card = "pm_card_visa",
                                                .description = "Order \xc3\xa9\n",
                                                .metadata = "{\"order_id\":\"o1\"}"}};

static char *line_of(const struct record *record, size_t *ret_len)
{
    struct buf out;
    buf_init(&out, RECORD_MAX);
    ck_assert_int_eq(record_write(record, &out), 0);
    *ret_len = out.len - 1;
    ck_assert_int_eq(out.data[*ret_len], '\n');
    return out.data;
}

/* ---- records ---- */

START_TEST(a_record_is_read_as_it_was_written)
{
    size_t len;
    char *line = line_of(&charge, &len);
    struct record read;
    ck_assert_int_eq(record_read(line, len, &read), 0);
    ck_assert_int_eq(read.kind, RECORD_CHARGE);
    ck_assert_str_eq(read.key, charge.key);
    ck_assert(read.fingerprint == charge.fingerprint);
    ck_assert_int_eq(read.intent.amount, 4900);
    ck_assert_int_eq(read.intent.created, 1700000000);
    ck_assert_str_eq(read.intent.description, charge.intent.description);
    ck_assert_ptr_null(read.intent.receipt_email);
    ck_assert_str_eq(read.intent.metadata, charge.intent.metadata);
    size_t again_len;
    char *again = line_of(&read, &again_len);
    ck_assert_uint_eq(again_len, len);
    ck_assert_int_eq(memcmp(line, again, len), 0);
    record_free(&read);
    free(line);
    free(again);
}
END_TEST

START_TEST(a_refund_carries_its_intent)
{
    struct record refund = charge;
    refund.kind = RECORD_REFUND;
    refund.key = NULL;
    refund.intent.refunded = 900;
    refund.refund = (struct refund){
        .number = 7, .amount = 900, .created = 1700000001, .reason = "x", .metadata = "{}"};
    size_t len;
    char *line = line_of(&refund, &len);
    struct record read;
    ck_assert_int_eq(record_read(line, len, &read), 0);
    ck_assert_ptr_null(read.key);
    ck_assert_int_eq(read.intent.refunded, 900);
    ck_assert_uint_eq(read.refund.number, 7);
    ck_assert_int_eq(read.refund.amount, 900);
    ck_assert_str_eq(read.refund.reason, "x");
    record_free(&read);
    free(line);
}
END_TEST

START_TEST(no_changed_byte_goes_unseen)
{
    size_t len;
    char *line = line_of(&charge, &len);
    struct record read;
    for (size_t i = 0; i < len; i++) {
        line[i] ^= 1;
        ck_assert_int_eq(record_read(line, len, &read), ERR_PARSE);
        line[i] ^= 1;
    }
    for (size_t cut = 0; cut < len; cut++)
        ck_assert_int_eq(record_read(line, cut, &read), ERR_PARSE);
    free(line);
}
END_TEST

START_TEST(ids_hold_their_number)
{
    char id[RECORD_ID_SIZE];
    uint64_t number;
    record_id(id, "pi_", 0x5f3a9c21, 42);
    ck_assert_str_eq(id, "pi_5f3a9c21000000000000002a");
    ck_assert_int_eq(record_number(id, "pi_", 0x5f3a9c21, &number), 0);
    ck_assert_uint_eq(number, 42);
    ck_assert_int_eq(record_number(id, "re_", 0x5f3a9c21, &number), ERR_NOT_FOUND);
    ck_assert_int_eq(record_number(id, "pi_", 0x5f3a9c22, &number), ERR_NOT_FOUND);
    static const char *const others[] = {"",
                                         "pi_",
                                         "pi_5f3a9c21",
                                         "pi_5f3a9c21000000000000002",
                                         "pi_5f3a9c21000000000000002aa",
                                         "pi_5f3a9c21000000000000002A",
                                         "pi_5f3a9c21 00000000000002a"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        ck_assert_int_eq(record_number(others[i], "pi_", 0x5f3a9c21, &number), ERR_NOT_FOUND);
}
END_TEST

/* ---- answers ---- */

static json_t *answer_of(const struct record *record, unsigned status)
{
    struct buf out;
    buf_init(&out, RECORD_MAX);
    ck_assert_uint_eq(answer_record(record, 1, &out), status);
    json_t *json = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_msg(json != NULL, "%s", out.data);
    buf_free(&out);
    return json;
}

static const char *text_at(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

START_TEST(an_intent_is_shown)
{
    json_t *json = answer_of(&charge, 200);
    ck_assert_str_eq(text_at(json, "object"), "payment_intent");
    ck_assert_str_eq(text_at(json, "status"), "succeeded");
    ck_assert_str_eq(text_at(json, "description"), charge.intent.description);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "amount_received")), 4900);
    ck_assert_str_eq(text_at(json_object_get(json, "metadata"), "order_id"), "o1");
    json_decref(json);
}
END_TEST

START_TEST(a_decline_is_a_card_error_with_its_intent)
{
    struct record record = charge;
    record.intent.card = "pm_card_chargeDeclinedInsufficientFunds";
    record.intent.status = INTENT_REQUIRES_PAYMENT_METHOD;
    record.intent.received = 0;
    json_t *json = answer_of(&record, 402);
    const json_t *error = json_object_get(json, "error");
    const json_t *intent = json_object_get(error, "payment_intent");
    ck_assert_str_eq(text_at(error, "type"), "card_error");
    ck_assert_str_eq(text_at(error, "code"), "card_declined");
    ck_assert_str_eq(text_at(error, "decline_code"), "insufficient_funds");
    ck_assert_str_eq(text_at(intent, "status"), "requires_payment_method");
    ck_assert_str_eq(text_at(json_object_get(intent, "last_payment_error"), "code"),
                     "card_declined");
    ck_assert_int_eq(json_integer_value(json_object_get(intent, "amount_received")), 0);
    json_decref(json);
    record.kind = RECORD_CHANGE; /* of a declined one: no error any more */
    record.intent.status = INTENT_CANCELED;
    json = answer_of(&record, 200);
    ck_assert_str_eq(text_at(json, "status"), "canceled");
    json_decref(json);
}
END_TEST

START_TEST(a_recorded_failure_is_answered_as_one)
{
    struct record record = charge;
    record.error = 500;
    json_decref(answer_of(&record, 500));
    record = (struct record){.kind = RECORD_FAILED, .key = "k", .error = 500};
    json_t *json = answer_of(&record, 500);
    ck_assert_str_eq(text_at(json_object_get(json, "error"), "type"), "api_error");
    json_decref(json);
}
END_TEST

START_TEST(a_kept_refusal_is_answered_word_for_word)
{
    struct record record = charge;
    record.kind = RECORD_FAILED;
    record.shown = true;
    record.failure = (struct answer_error){.status = 400,
                                           .type = "invalid_request_error",
                                           .code = "amount_too_small",
                                           .param = "amount",
                                           .message = "Too \"small\""};
    size_t len;
    char *line = line_of(&record, &len);
    struct record read;
    ck_assert_int_eq(record_read(line, len, &read), 0);
    json_t *json = answer_of(&read, 400);
    const json_t *error = json_object_get(json, "error");
    ck_assert_str_eq(text_at(error, "code"), "amount_too_small");
    ck_assert_str_eq(text_at(error, "param"), "amount");
    ck_assert_str_eq(text_at(error, "message"), "Too \"small\"");
    ck_assert_str_eq(text_at(json_object_get(error, "payment_intent"), "status"), "succeeded");
    json_decref(json);
    record_free(&read);
    free(line);
}
END_TEST

START_TEST(every_member_of_a_record_is_read_again)
{
    const struct record full = {
        .kind = RECORD_DISPUTE,
        .key = "k",
        .used = 1700000009,
        .intent = {.number = 5,
                   .status = INTENT_REQUIRES_CAPTURE,
                   .amount = 100,
                   .received = 99,
                   .due_ms = 1700000000123,
                   .method = RECORD_NONE,
                   .customer = 9,
                   .live = true,
                   .manual = true,
                   .disputed = true,
                   .currency = "eur",
                   .metadata = "{}"},
        .method =
            {.number = 4, .card = "pm_card_visa", .customer = 9, .created = 7, .consumed = true},
        .dispute = {
            .number = 2, .status = DISPUTE_LOST, .amount = 50, .created = 8, .reason = "x"}};
    size_t len;
    size_t again_len;
    char *line = line_of(&full, &len);
    struct record read;
    ck_assert_int_eq(record_read(line, len, &read), 0);
    char *again = line_of(&read, &again_len);
    ck_assert_uint_eq(again_len, len);
    ck_assert_int_eq(memcmp(line, again, len), 0);
    ck_assert(read.intent.method == RECORD_NONE && read.intent.customer == 9);
    ck_assert(read.intent.card == NULL && read.method.consumed && read.intent.disputed);
    record_free(&read);
    free(line);
    free(again);
}
END_TEST

START_TEST(a_line_of_an_older_ledger_is_understood)
{
    static const char json[] =
        "{\"kind\":\"charge\",\"key\":\"k\",\"fingerprint\":\"fedcba9876543210\",\"number\":0,"
        "\"status\":\"succeeded\",\"amount\":4900,\"refunded\":0,\"created\":1700000000,"
        "\"currency\":\"eur\",\"method\":\"pm_card_visa\",\"metadata\":{}}";
    char line[1024];
    struct record read;
    (void)snprintf(line, sizeof line, "%016llx %s",
                   (unsigned long long)XXH3_64bits(json, sizeof json - 1), json);
    ck_assert_int_eq(record_read(line, strlen(line), &read), 0);
    ck_assert_str_eq(read.intent.card, "pm_card_visa");
    ck_assert_int_eq(read.intent.received, 4900);
    ck_assert(read.intent.method == RECORD_NONE && read.method.card == NULL);
    json_t *shown = answer_of(&read, 200);
    ck_assert_str_eq(text_at(shown, "payment_method"), "pm_card_visa");
    json_decref(shown);
    record_free(&read);
}
END_TEST

/* ---- what is remembered ---- */

START_TEST(a_key_is_forgotten_after_its_time)
{
    struct store *store = store_new();
    enum store_key_state state;
    struct ledger_place place = {0};
    const struct record record = {
        .kind = RECORD_FAILED, .key = "k", .fingerprint = 1, .used = 1000};
    ck_assert_int_eq(store_use_key(store, "k", 1, 1000, 60, &state, &place), 0);
    ck_assert_int_eq(store_use_key(store, "k", 1, 9000, 60, &state, &place), 0);
    ck_assert_int_eq(state, STORE_KEY_BUSY); /* one under way never is */
    store_settle(store, &record, (struct ledger_place){99, 5});
    ck_assert_int_eq(store_use_key(store, "k", 1, 1059, 60, &state, &place), 0);
    ck_assert_int_eq(state, STORE_KEY_KNOWN);
    ck_assert_int_eq(store_use_key(store, "k", 2, 1060, 60, &state, &place), 0);
    ck_assert_int_eq(state, STORE_KEY_NEW);
    store_free(store);
}
END_TEST

START_TEST(a_payment_method_is_what_its_last_record_says)
{
    struct store *store = store_new();
    struct record record = {
        .kind = RECORD_METHOD,
        .method = {.number = 0, .card = "pm_card_visa", .customer = RECORD_NONE}};
    ck_assert_int_eq(store_load(store, &record, (struct ledger_place){10, 5}), 0);
    ck_assert(!store_method(store, 0)->consumed);
    record.kind = RECORD_FAILED;
    record.method.consumed = true;
    ck_assert_int_eq(store_load(store, &record, (struct ledger_place){20, 5}), 0);
    ck_assert(store_method(store, 0)->consumed);
    ck_assert_uint_eq(store_method(store, 0)->place.offset, 20);
    record.method.number = 2; /* there is no 1 */
    ck_assert_int_eq(store_load(store, &record, (struct ledger_place){30, 5}), ERR_INVALID);
    ck_assert_ptr_null(store_method(store, 2));
    store_free(store);
}
END_TEST

static int use_key(struct store *store, const char *key, uint64_t fingerprint,
                   enum store_key_state *ret_state, struct ledger_place *ret_place)
{
    return store_use_key(store, key, fingerprint, 1000, 60, ret_state, ret_place);
}

START_TEST(a_key_is_busy_then_known_or_dropped)
{
    struct store *store = store_new();
    enum store_key_state state;
    struct ledger_place place = {0};
    ck_assert_int_eq(use_key(store, "k", 1, &state, &place), 0);
    ck_assert_int_eq(state, STORE_KEY_NEW);
    ck_assert_int_eq(use_key(store, "k", 1, &state, &place), 0);
    ck_assert_int_eq(state, STORE_KEY_BUSY);
    ck_assert_int_eq(use_key(store, "k", 2, &state, &place), 0);
    ck_assert_int_eq(state, STORE_KEY_OTHER);
    store_drop_key(store, "k");
    ck_assert_int_eq(use_key(store, "k", 2, &state, &place), 0);
    ck_assert_int_eq(state, STORE_KEY_NEW);
    const struct record record = {.kind = RECORD_FAILED, .key = "k", .fingerprint = 2};
    store_settle(store, &record, (struct ledger_place){99, 5});
    store_drop_key(store, "k"); /* too late */
    ck_assert_int_eq(use_key(store, "k", 2, &state, &place), 0);
    ck_assert_int_eq(state, STORE_KEY_KNOWN);
    ck_assert_uint_eq(place.offset, 99);
    ck_assert_int_eq(use_key(store, "k", 1, &state, &place), 0);
    ck_assert_int_eq(state, STORE_KEY_OTHER);
    store_free(store);
}
END_TEST

START_TEST(many_keys_and_intents_are_told_apart)
{
    struct store *store = store_new();
    char key[32];
    for (uint64_t i = 0; i < 20000; i++) {
        enum store_key_state state;
        struct ledger_place place;
        struct record record = {.kind = RECORD_CHARGE, .key = key, .fingerprint = i};
        (void)snprintf(key, sizeof key, "key-%u", (unsigned)i);
        ck_assert_int_eq(use_key(store, key, i, &state, &place), 0);
        ck_assert_int_eq(state, STORE_KEY_NEW);
        ck_assert_int_eq(store_add_intent(store, 1000 - (int64_t)(i % 10), &record.intent), 0);
        ck_assert_uint_eq(record.intent.number, i);
        ck_assert_int_eq(record.intent.created, 1000); /* never back */
        ck_assert_uint_eq(store_intent_count(store), i);
        store_settle(store, &record, (struct ledger_place){i * 10, 7});
        ck_assert_uint_eq(store_ask(store, key), 0);
    }
    for (uint64_t i = 0; i < 20000; i++) {
        enum store_key_state state;
        struct ledger_place place;
        (void)snprintf(key, sizeof key, "key-%u", (unsigned)i);
        ck_assert_int_eq(use_key(store, key, i, &state, &place), 0);
        ck_assert_int_eq(state, STORE_KEY_KNOWN);
        ck_assert_uint_eq(place.offset, i * 10);
        ck_assert_uint_eq(store_intent(store, i)->place.offset, i * 10);
        ck_assert_uint_eq(store_ask(store, key), 1);
        ck_assert_uint_eq(store_asked(store, key), 2);
    }
    ck_assert_ptr_null(store_intent(store, 20000));
    ck_assert_uint_eq(store_asked(store, "nobody"), 0);
    store_free(store);
}
END_TEST

/* ---- the file ---- */

struct file {
    char path[64];
    struct loop *loop;
    struct ledger *ledger;
    unsigned loaded;
    struct ledger_place last;
    unsigned durable;
    unsigned wanted;
    struct buf problem;
};

static int count_record(const struct record *record, struct ledger_place place, void *arg)
{
    struct file *f = arg;
    f->loaded++;
    f->last = place;
    return record->kind == RECORD_CHANGE ? ERR_INVALID : 0;
}

static void on_broken(void *arg)
{
    (void)arg;
    ck_abort_msg("the ledger broke");
}

static int open_ledger(struct file *f)
{
    const struct ledger_options options = {
        .path = f->path, .salt = 0x1234, .load = count_record, .broken = on_broken, .arg = f};
    f->loaded = 0;
    buf_reset(&f->problem);
    return ledger_open(f->loop, &options, &f->ledger, &f->problem);
}

static struct file *file_new(void)
{
    struct file *f = calloc(1, sizeof *f);
    ck_assert_ptr_nonnull(f);
    (void)snprintf(f->path, sizeof f->path, "/tmp/test_sandbox_ledger.XXXXXX");
    int fd = mkstemp(f->path);
    ck_assert_int_ge(fd, 0);
    (void)close(fd);
    f->loop = loop_new();
    buf_init(&f->problem, 1024);
    return f;
}

static void file_free(struct file *f)
{
    ledger_close(f->ledger);
    loop_free(f->loop);
    buf_free(&f->problem);
    ck_assert_int_eq(unlink(f->path), 0);
    free(f);
}

static void on_durable(void *arg)
{
    struct file *f = arg;
    if (++f->durable == f->wanted)
        loop_stop(f->loop);
}

static void append_records(struct file *f, unsigned count)
{
    struct ledger_wait *waits = calloc(count, sizeof *waits);
    ck_assert_ptr_nonnull(waits);
    f->durable = 0;
    f->wanted = count;
    for (unsigned i = 0; i < count; i++) {
        waits[i].cb = on_durable;
        waits[i].arg = f;
        ck_assert_int_eq(ledger_append(f->ledger, &charge, &waits[i], &f->last), 0);
    }
    ck_assert(!ledger_idle(f->ledger));
    loop_run(f->loop);
    ck_assert_uint_eq(f->durable, count);
    ck_assert(ledger_idle(f->ledger));
    free(waits);
}

static void close_ledger(struct file *f)
{
    ledger_close(f->ledger);
    f->ledger = NULL;
}

/* A file with so many charges. */
static struct file *written(unsigned count)
{
    struct file *f = file_new();
    ck_assert_int_eq(open_ledger(f), 0);
    append_records(f, count);
    close_ledger(f);
    return f;
}

START_TEST(what_was_durable_is_loaded_again)
{
    struct file *f = written(100);
    ck_assert_int_eq(open_ledger(f), 0);
    ck_assert_uint_eq(f->loaded, 100);
    ck_assert_uint_eq(ledger_salt(f->ledger), 0x1234);
    append_records(f, 1);
    struct record read;
    ck_assert_int_eq(ledger_read(f->ledger, f->last, &read), 0);
    ck_assert_str_eq(read.key, charge.key);
    record_free(&read);
    f->last.len--;
    ck_assert_int_lt(ledger_read(f->ledger, f->last, &read), 0);
    file_free(f);
}
END_TEST

START_TEST(a_torn_end_is_cut_off_wherever_it_tore)
{
    struct file *f = written(2);
    ck_assert_int_eq(open_ledger(f), 0);
    struct ledger_place last = f->last;
    close_ledger(f);
    for (uint64_t size = last.offset + last.len; size > last.offset; size--) {
        ck_assert_int_eq(truncate(f->path, (off_t)size), 0);
        ck_assert_int_eq(open_ledger(f), 0);
        ck_assert_uint_eq(f->loaded, 1);
        append_records(f, 1); /* where the torn one was */
        ck_assert_uint_eq(f->last.offset, last.offset);
        close_ledger(f);
    }
    ck_assert_int_eq(open_ledger(f), 0);
    ck_assert_uint_eq(f->loaded, 2);
    file_free(f);
}
END_TEST

static void damage(const char *path, off_t offset)
{
    int fd = open(path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, "#", 1, offset), 1);
    (void)close(fd);
}

START_TEST(damage_before_the_end_stops_the_start)
{
    struct file *f = written(3);
    ck_assert_int_eq(open_ledger(f), 0);
    uint64_t second = f->last.offset - 10;
    close_ledger(f);
    struct stat before;
    struct stat after;
    damage(f->path, (off_t)second);
    ck_assert_int_eq(stat(f->path, &before), 0);
    ck_assert_int_eq(open_ledger(f), ERR_PARSE);
    ck_assert_ptr_nonnull(strstr(buf_text(&f->problem), "damaged at byte"));
    ck_assert_int_eq(stat(f->path, &after), 0);
    ck_assert_int_eq(after.st_size, before.st_size); /* nothing was cut */
    file_free(f);
}
END_TEST

START_TEST(another_file_is_no_ledger)
{
    struct file *f = file_new();
    size_t len;
    char *line = line_of(&charge, &len); /* a record, but not the one that opens a ledger */
    FILE *file = fopen(f->path, "w");
    ck_assert_uint_eq(fwrite(line, 1, len + 1, file), len + 1);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(open_ledger(f), ERR_INVALID);
    ck_assert_uint_gt(f->problem.len, 0);
    free(line);
    file_free(f);
}
END_TEST

static const char *const strangers[] = {"hello",
                                        "0123456789abcdef\n",
                                        "password = secret\n",
                                        "\n",
                                        "0123456789abcdefghijklmnopqrstuvwxyz",
                                        "0123 567"};

START_TEST(a_small_file_of_somebody_is_left_alone)
{
    struct file *f = file_new();
    FILE *file = fopen(f->path, "w");
    ck_assert_int_ge(fputs(strangers[_i], file), 0);
    ck_assert_int_eq(fclose(file), 0);
    struct stat after;
    ck_assert_int_eq(open_ledger(f), ERR_PARSE);
    ck_assert_int_eq(stat(f->path, &after), 0);
    ck_assert_int_eq(after.st_size, (off_t)strlen(strangers[_i]));
    file_free(f);
}
END_TEST

START_TEST(a_ledger_has_one_process)
{
    struct file *f = written(1);
    ck_assert_int_eq(open_ledger(f), 0);
    struct ledger *held = f->ledger;
    ck_assert_int_eq(open_ledger(f), ERR_CONFLICT);
    ck_assert_ptr_nonnull(strstr(buf_text(&f->problem), "in use"));
    f->ledger = held;
    file_free(f);
}
END_TEST

START_TEST(a_record_that_is_too_long_is_refused)
{
    struct file *f = written(1);
    ck_assert_int_eq(open_ledger(f), 0);
    char *text = calloc(1, RECORD_MAX + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', RECORD_MAX);
    struct record record = charge;
    struct ledger_wait wait = {.cb = on_durable, .arg = f};
    struct ledger_place place;
    record.intent.description = text;
    ck_assert_int_eq(ledger_append(f->ledger, &record, &wait, &place), ERR_FULL);
    append_records(f, 1);
    close_ledger(f);
    ck_assert_int_eq(open_ledger(f), 0);
    ck_assert_uint_eq(f->loaded, 2);
    free(text);
    file_free(f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sandbox_ledger");
    TCase *tcase = tcase_create("sandbox_ledger");
    tcase_add_test(tcase, a_record_is_read_as_it_was_written);
    tcase_add_test(tcase, a_refund_carries_its_intent);
    tcase_add_test(tcase, no_changed_byte_goes_unseen);
    tcase_add_test(tcase, ids_hold_their_number);
    tcase_add_test(tcase, an_intent_is_shown);
    tcase_add_test(tcase, a_decline_is_a_card_error_with_its_intent);
    tcase_add_test(tcase, a_recorded_failure_is_answered_as_one);
    tcase_add_test(tcase, a_kept_refusal_is_answered_word_for_word);
    tcase_add_test(tcase, every_member_of_a_record_is_read_again);
    tcase_add_test(tcase, a_line_of_an_older_ledger_is_understood);
    tcase_add_test(tcase, a_key_is_forgotten_after_its_time);
    tcase_add_test(tcase, a_payment_method_is_what_its_last_record_says);
    tcase_add_test(tcase, a_key_is_busy_then_known_or_dropped);
    tcase_add_test(tcase, many_keys_and_intents_are_told_apart);
    tcase_add_test(tcase, what_was_durable_is_loaded_again);
    tcase_add_test(tcase, a_torn_end_is_cut_off_wherever_it_tore);
    tcase_add_test(tcase, damage_before_the_end_stops_the_start);
    tcase_add_test(tcase, another_file_is_no_ledger);
    tcase_add_loop_test(tcase, a_small_file_of_somebody_is_left_alone, 0,
                        (int)(sizeof strangers / sizeof strangers[0]));
    tcase_add_test(tcase, a_ledger_has_one_process);
    tcase_add_test(tcase, a_record_that_is_too_long_is_refused);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
