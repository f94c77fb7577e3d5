#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/service/cfg.h"
#include "tests/fake/fake_memory.h"

#define ENTRIES 40
#define EVERYBODY (CFG_DAEMONS | CFG_CTL)

static char directory[] = "/tmp/checkout-test-cfg.XXXXXX";
static char secret_path[64];
static char short_path[64];
static char long_path[64];

/* An environment that is right for every program, to be spoilt one variable at a time. */
struct environment {
    char *entries[ENTRIES];
    size_t count;
};

static void put(struct environment *env, const char *name, const char *value)
{
    char entry[2500];
    (void)snprintf(entry, sizeof entry, "%s=%s", name, value);
    size_t len = strlen(name) + 1;
    for (size_t i = 0; i < env->count; i++) {
        if (strncmp(env->entries[i], entry, len) == 0) {
            free(env->entries[i]);
            env->entries[i] = strdup(entry);
            return;
        }
    }
    env->entries[env->count++] = strdup(entry);
}

static void drop(struct environment *env, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < env->count; i++) {
        if (strncmp(env->entries[i], name, len) == 0 && env->entries[i][len] == '=') {
            free(env->entries[i]);
            env->entries[i] = env->entries[--env->count];
            env->entries[env->count] = NULL;
            return;
        }
    }
}

static struct environment right(void)
{
    struct environment env = {.count = 0};
    put(&env, "PATH", "/bin");
    put(&env, "CHECKOUT_AMQP_URL", "amqp://user:hush@127.0.0.1:5672/shop");
    put(&env, "CHECKOUT_DATABASE_URL", "postgresql://user:hush@127.0.0.1:5432/shop");
    put(&env, "CHECKOUT_REDIS_URL", "redis://:hush@127.0.0.1:6379/0");
    put(&env, "CHECKOUT_JWT_SECRET_FILE", secret_path);
    put(&env, "CHECKOUT_ORDER_SECRET_FILE", secret_path);
    put(&env, "CHECKOUT_GATEWAY_URL", "https://gateway.example/base");
    put(&env, "CHECKOUT_GATEWAY_KEY_FILE", secret_path);
    put(&env, "CHECKOUT_SMTP_URL", "smtp://shop:hush@mail.example,smtps://mail2.example");
    put(&env, "CHECKOUT_MAIL_FROM", "shop@example.org");
    put(&env, "CHECKOUT_CONSOLE_JWKS_FILE", secret_path);
    return env;
}

static void clear(struct environment *env)
{
    while (env->count > 0)
        free(env->entries[--env->count]);
}

static void write_file(const char *path, size_t len, const char *end)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    for (size_t i = 0; i < len; i++)
        ck_assert_int_eq(fputc('a' + (int)(i % 26), file), 'a' + (int)(i % 26));
    ck_assert_int_ge(fputs(end, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void set_up(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    (void)snprintf(secret_path, sizeof secret_path, "%s/secret", directory);
    (void)snprintf(short_path, sizeof short_path, "%s/short", directory);
    (void)snprintf(long_path, sizeof long_path, "%s/long", directory);
    write_file(secret_path, 40, "\n");
    write_file(short_path, 7, "\n");
    write_file(long_path, 4097, "");
}

static void tear_down(void)
{
    (void)unlink(secret_path);
    (void)unlink(short_path);
    (void)unlink(long_path);
    (void)rmdir(directory);
}

static int load(struct environment *env, uint32_t program, struct cfg **ret_cfg,
                struct buf *problem)
{
    buf_init(problem, 1024);
    return cfg_load(program, env->entries, ret_cfg, problem);
}

/* The start must fail with one line that begins with the name and holds `expected`. */
static void expect_problem(struct environment *env, const char *name, const char *expected)
{
    struct cfg *cfg = NULL;
    struct buf problem;
    ck_assert_int_eq(load(env, EVERYBODY, &cfg, &problem), ERR_CONFIG);
    const char *text = buf_text(&problem);
    ck_assert_msg(strncmp(text, name, strlen(name)) == 0 && text[strlen(name)] == ':',
                  "\"%s\" does not begin with %s", text, name);
    ck_assert_msg(strstr(text, expected) != NULL, "\"%s\" does not say \"%s\"", text, expected);
    ck_assert_ptr_null(strchr(text, '\n'));
    ck_assert_ptr_null(strstr(text, "hush"));
    ck_assert_ptr_null(cfg);
    buf_free(&problem);
}

static void expect_wrong(const char *name, const char *value, const char *expected)
{
    struct environment env = right();
    put(&env, name, value);
    expect_problem(&env, name, expected);
    clear(&env);
}

START_TEST(a_right_environment_is_taken_by_every_program)
{
    const uint32_t programs[] = {CFG_PRODUCER, CFG_CONSUMER, CFG_NOTIFIER, CFG_MAILER,
                                 CFG_CONSOLE,  CFG_CTL,      EVERYBODY};
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        struct environment env = right();
        struct cfg *cfg = NULL;
        struct buf problem;
        ck_assert_msg(load(&env, programs[i], &cfg, &problem) == 0, "%s", buf_text(&problem));
        cfg_free(cfg);
        buf_free(&problem);
        clear(&env);
    }
}
END_TEST

START_TEST(values_and_defaults_are_read)
{
    struct environment env = right();
    put(&env, "CHECKOUT_LISTEN", "[::1]:9090");
    put(&env, "CHECKOUT_WAIT_MAX", "90s");
    put(&env, "CHECKOUT_SHARDS", "64");
    struct cfg *cfg = NULL;
    struct buf problem;
    size_t len;
    ck_assert_int_eq(load(&env, EVERYBODY, &cfg, &problem), 0);
    ck_assert_str_eq(cfg_host(cfg, CFG_LISTEN), "::1");
    ck_assert_uint_eq(cfg_port(cfg, CFG_LISTEN), 9090);
    ck_assert_str_eq(cfg_host(cfg, CFG_ADMIN_LISTEN), "127.0.0.1");
    ck_assert_uint_eq(cfg_port(cfg, CFG_ADMIN_LISTEN), 0);
    ck_assert_int_eq(cfg_int(cfg, CFG_WAIT_MAX), 90000);
    ck_assert_int_eq(cfg_int(cfg, CFG_AMQP_HEARTBEAT), 4000);
    ck_assert_int_eq(cfg_int(cfg, CFG_SHARDS), 64);
    ck_assert_int_eq(cfg_int(cfg, CFG_PUBLISH_INFLIGHT), 16);
    ck_assert_str_eq(cfg_str(cfg, CFG_ORIGINS), "");
    ck_assert_str_eq(cfg_str(cfg, CFG_NAME), "");
    ck_assert_str_eq(cfg_secret(cfg, CFG_JWT_SECRET_FILE, &len),
                     "abcdefghijklmnopqrstuvwxyzabcdefghijklmn");
    ck_assert_uint_eq(len, 40);
    ck_assert_str_eq(cfg_str(cfg, CFG_JWT_SECRET_FILE), secret_path);
    cfg_free(cfg);
    buf_free(&problem);
    clear(&env);
}
END_TEST

static const struct {
    const char *name;
    const char *value;
    const char *expected;
} wrong_values[] = {
    {"CHECKOUT_LISTEN", "8080", "address and a port"},
    {"CHECKOUT_LISTEN", "127.0.0.1:", "no port number"},
    {"CHECKOUT_LISTEN", "127.0.0.1:80x", "no port number"},
    {"CHECKOUT_LISTEN", "127.0.0.1:65536", "out of range"},
    {"CHECKOUT_LISTEN", ":8080", "no IP address"},
    {"CHECKOUT_LISTEN", "::1:8080", "no IP address"},
    {"CHECKOUT_LISTEN", "shop.example:8080", "no IP address"},
    {"CHECKOUT_ADMIN_LISTEN", "127.0.0.1:99999", "out of range"},
    {"CHECKOUT_LISTEN", "[::1:80", "no IP address"},
    {"CHECKOUT_LISTEN", "[]:80", "no IP address"},
    {"CHECKOUT_LISTEN", "[127.0.0.1]:80", "no IP address"},
    {"CHECKOUT_LOG_LEVEL",
     "in\x01\xff"
     "fo",
     "\"in??fo\" is none of"},
    {"CHECKOUT_LOG_LEVEL", "verbose", "debug, info, warning, error"},
    {"CHECKOUT_LOG_LEVEL", "", "debug, info, warning, error"},
    {"CHECKOUT_AMQP_URL", "http://user:hush@127.0.0.1/", "amqp://"},
    {"CHECKOUT_AMQP_URL", "amqp://user:hush@127.0.0.1:70000/", "out of range"},
    {"CHECKOUT_AMQP_URL", "amqp://user:hush@127.0.0.1:0/", "out of range"},
    {"CHECKOUT_AMQP_URL", "amqp://user:hush@:5672/", "host"},
    {"CHECKOUT_AMQP_URL", "amqp://127.0.0.1:5672/,", "amqp://"},
    {"CHECKOUT_AMQP_URL", "", "amqp://"},
    {"CHECKOUT_AMQP_HEARTBEAT", "4", "unit"},
    {"CHECKOUT_AMQP_HEARTBEAT", "4 s", "unit"},
    {"CHECKOUT_AMQP_HEARTBEAT", "999ms", "between"},
    {"CHECKOUT_AMQP_HEARTBEAT", "61s", "between"},
    {"CHECKOUT_AMQP_HEARTBEAT", "s", "unit"},
    {"CHECKOUT_AMQP_HEARTBEAT", "4d", "unit"},
    {"CHECKOUT_TRACE_RATIO", "", "from 0 to 1"},
    {"CHECKOUT_TRACE_RATIO", "1.5", "from 0 to 1"},
    {"CHECKOUT_TRACE_RATIO", "1.000001", "from 0 to 1"},
    {"CHECKOUT_TRACE_RATIO", "2", "from 0 to 1"},
    {"CHECKOUT_TRACE_RATIO", "-0.1", "from 0 to 1"},
    {"CHECKOUT_TRACE_RATIO", ".1", "from 0 to 1"},
    {"CHECKOUT_TRACE_RATIO", "0.", "from 0 to 1"},
    {"CHECKOUT_TRACE_RATIO", "0.0000001", "from 0 to 1"},
    {"CHECKOUT_TRACE_RATIO", "0,1", "from 0 to 1"},
    {"CHECKOUT_TRACE_RATIO", "0.1 ", "from 0 to 1"},
    {"CHECKOUT_TRACE_RATIO", "10%", "from 0 to 1"},
    {"CHECKOUT_ORDERS_PER_USER", "", "rate, like 60/1m"},
    {"CHECKOUT_ORDERS_PER_USER", "60", "rate, like 60/1m"},
    {"CHECKOUT_ORDERS_PER_USER", "60/", "rate, like 60/1m"},
    {"CHECKOUT_ORDERS_PER_USER", "/1m", "rate, like 60/1m"},
    {"CHECKOUT_ORDERS_PER_USER", "60/1", "rate, like 60/1m"},
    {"CHECKOUT_ORDERS_PER_USER", "60/m", "rate, like 60/1m"},
    {"CHECKOUT_ORDERS_PER_USER", "60/500ms", "rate, like 60/1m"},
    {"CHECKOUT_ORDERS_PER_USER", "60/1500ms", "rate, like 60/1m"},
    {"CHECKOUT_ORDERS_PER_USER", "0/0s", "rate, like 60/1m"},
    {"CHECKOUT_ORDERS_PER_USER", "60/25h", "rate, like 60/1m"},
    {"CHECKOUT_ORDERS_PER_USER", "100001/1m", "rate, like 60/1m"},
    {"CHECKOUT_ORDERS_PER_USER", "-1/1m", "rate, like 60/1m"},
    {"CHECKOUT_ORDERS_PER_USER", "60/1m ", "rate, like 60/1m"},
    {"CHECKOUT_ORDERS_PER_USER", "60/1m/1m", "rate, like 60/1m"},
    {"CHECKOUT_ORDERS_PER_USER", "x", "rate, like 60/1m"},
    {"CHECKOUT_ORDERS_PER_USER", "1e3/1m", "rate, like 60/1m"},
    {"CHECKOUT_TRUSTED_PROXIES", "proxy.example", "list of IP addresses"},
    {"CHECKOUT_TRUSTED_PROXIES", "10.0.0.0/33", "list of IP addresses"},
    {"CHECKOUT_TRUSTED_PROXIES", "10.0.0.1,", "list of IP addresses"},
    {"CHECKOUT_SHARDS", "12", "power of two"},
    {"CHECKOUT_SHARDS", "0", "power of two"},
    {"CHECKOUT_SHARDS", "2048", "power of two"},
    {"CHECKOUT_SHARDS", "-16", "whole number"},
    {"CHECKOUT_PUBLISH_INFLIGHT", "", "whole number"},
    {"CHECKOUT_SHARDS", "16.0", "whole number"},
    {"CHECKOUT_SHARDS", "99999999999999999999", "whole number"},
    {"CHECKOUT_QUEUE_MAX_BYTES", "1024", "between"},
    {"CHECKOUT_QUEUE_REPLICAS", "9", "between"},
    {"CHECKOUT_PUBLISH_INFLIGHT", "0", "between"},
    {"CHECKOUT_CONNECTIONS_MAX", "many", "whole number"},
    {"CHECKOUT_DATABASE_URL", "mysql://user:hush@127.0.0.1/shop", "postgresql://"},
    {"CHECKOUT_DATABASE_URL", "postgresql://user:hush@127.0.0.1:99999/shop", "out of range"},
    {"CHECKOUT_DATABASE_URL", "postgresql://user:hush@127.0.0.1:x/shop", "not a number"},
    {"CHECKOUT_DATABASE_URL", "postgresql://user:hush@h/shop?colour=red", "malformed"},
    {"CHECKOUT_DATABASE_SESSIONS", "17", "between"},
    {"CHECKOUT_REDIS_URL", "127.0.0.1:6379", "redis://"},
    {"CHECKOUT_REDIS_URL", "redis://:hush@127.0.0.1:99999/0", "port"},
    {"CHECKOUT_JWT_SECRET_FILE", "/nonexistent/secret", "cannot read"},
    {"CHECKOUT_JWT_SECRET_FILE", "/tmp", "cannot read"},
    {"CHECKOUT_JWT_SECRET_FILE", "", "cannot read"},
    {"CHECKOUT_ORDER_SECRET_FILE", "/nonexistent/secret", "cannot read"},
    {"CHECKOUT_ORIGINS", "https://shop.example/", "no slash"},
    {"CHECKOUT_ORIGINS", "shop.example", "origins"},
    {"CHECKOUT_ORIGINS", "https://a.example,,https://b.example", "origins"},
    {"CHECKOUT_EVENTS_URL", "http://127.0.0.1/v1/events", "ws://"},
    {"CHECKOUT_EVENTS_URL", "ws:///v1/events", "host"},
    {"CHECKOUT_EVENTS_URL", "ws://shop.example:0/v1/events", "out of range"},
    {"CHECKOUT_TICKET_TTL", "1s", "between"},
    {"CHECKOUT_WAIT_MAX", "99999999999999999h", "between"},
    {"CHECKOUT_GATEWAY_URL", "ftp://gateway.example", "http://"},
    {"CHECKOUT_GATEWAY_URL", "http://user:hush@gateway.example", "host"},
    {"CHECKOUT_GATEWAY_URL", "http://gateway.example:65536", "out of range"},
    {"CHECKOUT_GATEWAY_URL", "http://gateway.example/a b", "character"},
    {"CHECKOUT_GATEWAY_URL", "http://gateway.example/\x7f", "character"},
    {"CHECKOUT_GATEWAY_URL", "http://gateway.example/\"", "character"},
    {"CHECKOUT_GATEWAY_URL", "http://gateway.example/?a=b", "no ? and no #"},
    {"CHECKOUT_GATEWAY_VERSION", "2023 10", "letters, digits"},
    {"CHECKOUT_GATEWAY_VERSION",
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "letters, digits"},
    {"CHECKOUT_GATEWAY_METHODS", "", "payment methods"},
    {"CHECKOUT_GATEWAY_METHODS", "card,", "payment methods"},
    {"CHECKOUT_GATEWAY_METHODS", "card,Link", "payment methods"},
    {"CHECKOUT_GATEWAY_METHODS", "card link", "payment methods"},
    {"CHECKOUT_GATEWAY_METHODS", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "payment methods"},
    {"CHECKOUT_GATEWAY_METHODS", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "payment methods"},
    {"CHECKOUT_GATEWAY_RETURN_URL", "https://user:hush@shop.example/", "host"},
    {"CHECKOUT_SMTP_URL", "http://mail.example/", "smtp://"},
    {"CHECKOUT_SMTP_URL", "smtp://", "host"},
    {"CHECKOUT_SMTP_URL", "smtp://shop:hush@mail.example/path", "no path"},
    {"CHECKOUT_SMTP_URL", "smtp://mail.example?x=hush", "?parameters"},
    {"CHECKOUT_SMTP_URL", "smtp://shop@mail.example", "no password"},
    {"CHECKOUT_SMTP_URL", "smtp://:hush@mail.example", "user name"},
    {"CHECKOUT_SMTP_URL", "smtp://mail.example,", "smtp://"},
    {"CHECKOUT_SMTP_URL", "smtp://mail.example:0", "port"},
    {"CHECKOUT_SMTP_URL",
     "smtp://a,smtp://b,smtp://c,smtp://d,smtp://e,smtp://f,smtp://g,smtp://h,smtp://i",
     "more than 8"},
    {"CHECKOUT_MAIL_FROM", "shop", "no e-mail address"},
    {"CHECKOUT_MAIL_FROM", "Shop <shop@example.org>", "no e-mail address"},
    {"CHECKOUT_MAIL_FROM_NAME", "a\nb", "control characters"},
    {"CHECKOUT_MAIL_FROM_NAME", "\xff", "UTF-8"},
    {"CHECKOUT_MAIL_ORDER_URL", "https://user:hush@shop.example/", "host"},
    {"CHECKOUT_MAIL_INFLIGHT", "65", "between 1 and 64"},
    {"CHECKOUT_WEBHOOK_LIVEMODE", "yes", "true or false"},
    {"CHECKOUT_GATEWAY_KEY_FILE", "/nonexistent/key", "cannot read"},
    {"CHECKOUT_GATEWAY_CA_FILE", "/nonexistent/ca", "cannot read"},
    {"CHECKOUT_GATEWAY_INFLIGHT", "10001", "between"},
    {"CHECKOUT_GATEWAY_TIMEOUT", "50ms", "between"},
};

START_TEST(each_wrong_value_is_named)
{
    expect_wrong(wrong_values[_i].name, wrong_values[_i].value, wrong_values[_i].expected);
}
END_TEST

START_TEST(a_secret_must_have_the_right_length)
{
    expect_wrong("CHECKOUT_JWT_SECRET_FILE", short_path, "too short: 7 bytes, at least 32");
    expect_wrong("CHECKOUT_ORDER_SECRET_FILE", short_path, "too short");
    expect_wrong("CHECKOUT_JWT_SECRET_FILE", long_path, "too long");
}
END_TEST

/* Editors end a line, some with a carriage return; a key with anything else inside is none. */
START_TEST(a_word_of_a_file_is_visible_letters)
{
    static const struct {
        const char *content, *secret; /* NULL: refused */
    } files[] = {{"", "abcdefgh"},
                 {"\r\n", "abcdefgh"},
                 {" \t\n", "abcdefgh"},
                 {" x\n", NULL},
                 {"\x7f", NULL}};
    char path[64];
    (void)snprintf(path, sizeof path, "%s/word", directory);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct environment env = right();
        struct cfg *cfg = NULL;
        struct buf problem;
        size_t len = 0;
        write_file(path, 8, files[i].content);
        put(&env, "CHECKOUT_GATEWAY_KEY_FILE", path);
        if (files[i].secret == NULL) {
            expect_problem(&env, "CHECKOUT_GATEWAY_KEY_FILE", "not visible ASCII: number 9");
        } else {
            ck_assert_int_eq(load(&env, EVERYBODY, &cfg, &problem), 0);
            ck_assert_str_eq(cfg_secret(cfg, CFG_GATEWAY_KEY_FILE, &len), files[i].secret);
            ck_assert_uint_eq(len, 8);
            cfg_free(cfg);
            buf_free(&problem);
        }
        clear(&env);
    }
    write_file(path, 0, "");
    expect_wrong("CHECKOUT_GATEWAY_KEY_FILE", path, "too short: 0 bytes");
    write_file(path, 0, " \n");
    expect_wrong("CHECKOUT_GATEWAY_KEY_FILE", path, "too short: 0 bytes");
    (void)unlink(path);
}
END_TEST

START_TEST(a_file_of_headers_has_header_lines)
{
    static const struct {
        const char *content, *wrong; /* NULL: taken */
    } files[] = {{"Authorization: Bearer it-is-me", NULL},
                 {"X-Tenant: a\nX-Empty:\n", NULL},
                 {"a:1\nb:2\nc:3\nd:4\ne:5\nf:6\ng:7\nh:8", NULL},
                 {"a:1\nb:2\nc:3\nd:4\ne:5\nf:6\ng:7\nh:8\ni:9", "more than 8 lines"},
                 {"it-is-me", "line 1 is no header"},
                 {": it-is-me", "line 1 is no header"},
                 {"X-One: 1\n\nX-Two: 2", "line 2 is no header"},
                 {"X-One: 1\r\n", "line 1 is no header"},
                 {"X One: 1", "line 1 is no header"}};
    char path[64];
    (void)snprintf(path, sizeof path, "%s/headers", directory);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct environment env = right();
        struct cfg *cfg = NULL;
        struct buf problem;
        write_file(path, 0, files[i].content);
        put(&env, "CHECKOUT_OTLP_HEADERS_FILE", path);
        if (files[i].wrong != NULL) {
            expect_problem(&env, "CHECKOUT_OTLP_HEADERS_FILE", files[i].wrong);
        } else {
            ck_assert_int_eq(load(&env, EVERYBODY, &cfg, &problem), 0);
            cfg_free(cfg);
            buf_free(&problem);
        }
        clear(&env);
    }
    (void)unlink(path);
}
END_TEST

static const struct {
    const char *text; /* NULL: the default */
    int64_t millionths;
} ratios[] = {{NULL, 0},        {"0", 0},        {"0.0", 0},      {"1", 1000000},
              {"1.0", 1000000}, {"0.01", 10000}, {"0.000001", 1}, {"0.999999", 999999}};

START_TEST(a_ratio_is_in_millionths)
{
    struct environment env = right();
    struct cfg *cfg = NULL;
    struct buf problem;
    if (ratios[_i].text != NULL)
        put(&env, "CHECKOUT_TRACE_RATIO", ratios[_i].text);
    ck_assert_int_eq(load(&env, EVERYBODY, &cfg, &problem), 0);
    ck_assert_int_eq(cfg_int(cfg, CFG_TRACE_RATIO), ratios[_i].millionths);
    cfg_free(cfg);
    buf_free(&problem);
    clear(&env);
}
END_TEST

static const struct {
    const char *text; /* NULL: the default */
    int64_t count, period_s;
} rates[] = {{NULL, 60, 60}, {"0", 0, 1},        {"0/1m", 0, 60},
             {"1/1s", 1, 1}, {"7/2000ms", 7, 2}, {"100000/24h", 100000, 86400}};

START_TEST(a_rate_is_a_number_and_a_time)
{
    struct environment env = right();
    struct cfg *cfg = NULL;
    struct buf problem;
    if (rates[_i].text != NULL)
        put(&env, "CHECKOUT_ORDERS_PER_USER", rates[_i].text);
    ck_assert_int_eq(load(&env, EVERYBODY, &cfg, &problem), 0);
    struct rate rate = cfg_rate(cfg, CFG_ORDERS_PER_USER);
    ck_assert_int_eq(rate.count, rates[_i].count);
    ck_assert_int_eq(rate.period_s, rates[_i].period_s);
    cfg_free(cfg);
    buf_free(&problem);
    clear(&env);
}
END_TEST

/* What a URL becomes with the password "p@/ %" of a file; NULL: refused with the text `wrong`. */
static const struct with_password {
    enum cfg_id id;
    const char *name;
    const char *given;
    const char *made;
    const char *wrong;
} with_passwords[] = {
    {CFG_AMQP_URL, "AMQP", "amqps://u@a:1/v,amqp://w@[::1]",
     "amqps://u:p%40%2F%20%25@a:1/v,amqp://w:p%40%2F%20%25@[::1]", NULL},
    {CFG_AMQP_URL, "AMQP", "amqp://u@a,amqp://u:x@b", NULL, "it has a password, and so has"},
    {CFG_AMQP_URL, "AMQP", "amqp://a", NULL, "it names no user"},
    {CFG_DATABASE_URL, "DATABASE", "postgresql://u@a:1,b:2/shop?sslmode=verify-full",
     "postgresql://u:p%40%2F%20%25@a:1,b:2/shop?sslmode=verify-full", NULL},
    {CFG_DATABASE_URL, "DATABASE", "postgresql:///shop", NULL, "it names no user"},
    {CFG_REDIS_URL, "REDIS", "redis://a:1/3", "redis://:p%40%2F%20%25@a:1/3", NULL},
    {CFG_REDIS_URL, "REDIS", "redis://u@a", "redis://u:p%40%2F%20%25@a", NULL},
    {CFG_REDIS_URL, "REDIS", "redis://u@a/x", NULL, "the database is not a number"},
    {CFG_REDIS_URL, "REDIS", "rediss://u:p@a", NULL, "it has a password, and so has"},
};

START_TEST(a_password_may_come_from_a_file)
{
    const struct with_password *with = &with_passwords[_i];
    struct environment env = right();
    struct cfg *cfg = NULL;
    struct buf problem;
    char path[64], file[64], url[64];
    (void)snprintf(path, sizeof path, "%s/password", directory);
    (void)snprintf(file, sizeof file, "CHECKOUT_%s_PASSWORD_FILE", with->name);
    (void)snprintf(url, sizeof url, "CHECKOUT_%s_URL", with->name);
    write_file(path, 0, "p@/ %\n");
    put(&env, file, path);
    put(&env, url, with->given);
    if (with->made == NULL) {
        expect_problem(&env, url, with->wrong);
    } else {
        ck_assert_msg(load(&env, EVERYBODY, &cfg, &problem) == 0, "%s", buf_text(&problem));
        ck_assert_str_eq(cfg_str(cfg, with->id), with->made);
        cfg_free(cfg);
        buf_free(&problem);
    }
    clear(&env);
    (void)unlink(path);
}
END_TEST

START_TEST(a_long_value_is_shown_cut)
{
    char value[200] = "";
    memset(value, 'x', sizeof value - 1);
    expect_wrong("CHECKOUT_LOG_LEVEL", value, "xxx...\" is none of");
    char url[2100] = "https://shop.example/";
    memset(url + strlen(url), 'x', sizeof url - 1 - strlen(url));
    expect_wrong("CHECKOUT_GATEWAY_RETURN_URL", url, "more than 2000 characters");
}
END_TEST

START_TEST(right_values_of_each_kind)
{
    static const struct {
        const char *name, *value;
        enum cfg_id id;
        int64_t number;
    } values[] = {
        {"CHECKOUT_WEBHOOK_LIVEMODE", "true", CFG_WEBHOOK_LIVEMODE, 1},
        {"CHECKOUT_WEBHOOK_LIVEMODE", "false", CFG_WEBHOOK_LIVEMODE, 0},
        {"CHECKOUT_GATEWAY_METHODS", "card,sepa_debit", CFG_GATEWAY_METHODS, 0},
        {"CHECKOUT_GATEWAY_RETURN_URL", "https://shop.example/paid?cart=1", CFG_GATEWAY_RETURN_URL,
         0},
        {"CHECKOUT_GATEWAY_VERSION", "2025-01-01.basil", CFG_GATEWAY_VERSION, 0},
        {"CHECKOUT_GATEWAY_CA_FILE", secret_path, CFG_GATEWAY_CA_FILE, 0},
        {"CHECKOUT_ORIGINS", "https://shop.example", CFG_ORIGINS, 0},
        {"CHECKOUT_EVENTS_URL", "wss://shop.example/v1/events", CFG_EVENTS_URL, 0},
        {"CHECKOUT_AMQP_HEARTBEAT", "1m", CFG_AMQP_HEARTBEAT, 60000},
        {"CHECKOUT_LOG_LEVEL", "error", CFG_LOG_LEVEL, 3},
        {"CHECKOUT_NAME", "till 1", CFG_NAME, 0},
    };
    struct buf problem;
    struct cfg *cfg = NULL;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct environment env = right();
        put(&env, values[i].name, values[i].value);
        ck_assert_msg(load(&env, EVERYBODY, &cfg, &problem) == 0, "%s", buf_text(&problem));
        ck_assert_str_eq(cfg_str(cfg, values[i].id), values[i].value);
        ck_assert_int_eq(cfg_int(cfg, values[i].id), values[i].number);
        ck_assert_str_eq(cfg_name(values[i].id), values[i].name);
        cfg_free(cfg);
        buf_free(&problem);
        clear(&env);
    }
    struct environment env = right();
    put(&env, "CHECKOUT_LISTEN", "localhost:81");
    ck_assert_int_eq(load(&env, CFG_PRODUCER, &cfg, &problem), 0);
    ck_assert_str_eq(cfg_host(cfg, CFG_LISTEN), "127.0.0.1");
    cfg_free(cfg);
    buf_free(&problem);
    clear(&env);
}
END_TEST

START_TEST(what_a_program_does_not_use_is_empty)
{
    struct environment env = right();
    struct cfg *cfg = NULL;
    struct buf problem;
    size_t len = 1;
    ck_assert_int_eq(load(&env, CFG_NOTIFIER, &cfg, &problem), 0);
    ck_assert_str_eq(cfg_secret(cfg, CFG_GATEWAY_KEY_FILE, &len), "");
    ck_assert_uint_eq(len, 0);
    ck_assert_str_eq(cfg_host(cfg, CFG_SHARDS), "");
    ck_assert_uint_eq(cfg_port(cfg, CFG_SHARDS), 0);
    cfg_free(cfg);
    cfg_free(NULL);
    buf_free(&problem);
    clear(&env);
}
END_TEST

/* Not every environment was made by a shell. */
START_TEST(an_entry_without_a_value_sets_nothing)
{
    struct environment env = right();
    struct cfg *cfg = NULL;
    struct buf problem;
    put(&env, "CHECKOUT_PUBLISH_INFLIGHT", "");
    env.entries[env.count - 1][strlen("CHECKOUT_PUBLISH_INFLIGHT")] = '\0';
    ck_assert_int_eq(load(&env, EVERYBODY, &cfg, &problem), 0);
    ck_assert_int_eq(cfg_int(cfg, CFG_PUBLISH_INFLIGHT), 16);
    ck_assert_int_eq(cfg_int(cfg, CFG_SHARDS), 0); /* the number in service */
    cfg_free(cfg);
    buf_free(&problem);
    clear(&env);
}
END_TEST

static struct environment full;

static int load_everything(void)
{
    struct cfg *cfg = NULL;
    struct buf problem;
    int code = load(&full, EVERYBODY, &cfg, &problem);
    MUST((cfg != NULL) == (code == 0));
    if (code == ERR_CONFIG && fake_memory_failed()) { /* it says so, if it has memory for that */
        MUST(problem.failed || strstr(buf_text(&problem), "out of memory") != NULL);
        code = ERR_NOMEM;
    }
    cfg_free(cfg);
    buf_free(&problem);
    return code;
}

START_TEST(without_memory_it_does_not_start)
{
    full = right();
    put(&full, "CHECKOUT_ORIGINS", "https://shop.example");
    put(&full, "CHECKOUT_LISTEN", "localhost:81");
    ck_assert_uint_gt(fake_memory_run(load_everything), CFG_COUNT);
    put(&full, "CHECKOUT_LOG_LEVEL", "none"); /* a problem without memory to tell it */
    for (size_t nth = 1; nth < 100; nth++) {
        struct cfg *cfg = NULL;
        struct buf problem;
        fake_memory_fail(nth);
        int code = load(&full, EVERYBODY, &cfg, &problem);
        fake_memory_fail(0);
        ck_assert_int_eq(code, ERR_CONFIG);
        buf_free(&problem);
    }
    clear(&full);
}
END_TEST

START_TEST(each_setting_without_a_default_must_be_set)
{
    static const char *const needed[] = {
        "CHECKOUT_AMQP_URL",         "CHECKOUT_DATABASE_URL",      "CHECKOUT_REDIS_URL",
        "CHECKOUT_JWT_SECRET_FILE",  "CHECKOUT_ORDER_SECRET_FILE", "CHECKOUT_GATEWAY_URL",
        "CHECKOUT_GATEWAY_KEY_FILE",
    };
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        struct environment env = right();
        drop(&env, needed[i]);
        expect_problem(&env, needed[i], "must be set");
        clear(&env);
    }
}
END_TEST

START_TEST(every_wrong_setting_is_named_at_once)
{
    static const char *const names[] = {
        "CHECKOUT_SHARD:", "CHECKOUT_AMQP_URL:", "CHECKOUT_SHARDS:", "CHECKOUT_DATABASE_URL:"};
    struct environment env = right();
    put(&env, "CHECKOUT_SHARD", "16");
    put(&env, "CHECKOUT_AMQP_URL", "http://rabbit");
    put(&env, "CHECKOUT_SHARDS", "15");
    put(&env, "CHECKOUT_DATABASE_URL", "mysql://host");
    struct cfg *cfg = NULL;
    struct buf problems;
    ck_assert_int_eq(load(&env, EVERYBODY, &cfg, &problems), ERR_CONFIG);
    const char *line = buf_text(&problems);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        ck_assert_msg(strncmp(line, names[i], strlen(names[i])) == 0, "\"%s\" is not about %s",
                      line, names[i]);
        line += strcspn(line, "\n");
        ck_assert_int_eq(*line, i + 1 < ARRAY_LEN(names) ? '\n' : '\0');
        line += i + 1 < ARRAY_LEN(names);
    }
    buf_free(&problems);
    clear(&env);
}
END_TEST

/* What the file leaves as it is comes to the defaults; what must be set has a line to fill in. */
START_TEST(the_example_has_every_setting)
{
    struct buf text;
    buf_init(&text, 65536);
    ck_assert_int_eq(cfg_example(&text), 0);
    for (int i = 0; i < CFG_COUNT; i++) {
        char line[128];
        (void)snprintf(line, sizeof line, "%s=", cfg_name((enum cfg_id)i));
        ck_assert_msg(i == CFG_SANDBOX_LEDGER || strstr(buf_text(&text), line) != NULL,
                      "it lacks %s", line);
    }
    ck_assert_ptr_nonnull(strstr(buf_text(&text), "\n#CHECKOUT_SHARDS=\n"));
    ck_assert_ptr_nonnull(strstr(buf_text(&text), "\nCHECKOUT_AMQP_URL=\n"));
    ck_assert_ptr_nonnull(
        strstr(buf_text(&text), "\nCHECKOUT_ORDER_SECRET_FILE=/etc/checkout/order_secret\n"));
    for (const char *at = buf_text(&text); *at != '\0'; at += strcspn(at, "\n") + 1)
        ck_assert_msg(*at == '#' || *at == '\n' || strncmp(at, "CHECKOUT_", 9) == 0,
                      "a line of the file is neither comment nor setting: %.80s", at);
    buf_free(&text);
}
END_TEST

START_TEST(an_unknown_name_stops_the_start_and_a_misspelling_is_guessed)
{
    static const struct {
        const char *name;
        const char *expected;
    } names[] = {
        {"CHECKOUT_DATABASE_ULR", "did you mean CHECKOUT_DATABASE_URL?"},
        {"CHECKOUT_SHARD", "did you mean CHECKOUT_SHARDS?"},
        {"CHECKOUT_JWT_SECRET", "no program knows this setting"},
        {"CHECKOUT_LISTENS", "did you mean CHECKOUT_LISTEN?"},
        {"CHECKOUT_COLOUR_OF_THE_SKY", "no program knows this setting"},
        {"CHECKOUT_", "no program knows this setting"},
        {"CHECKOUT_NOTE", "did you mean CHECKOUT_NAME?"},
        {"CHECKOUT_JUTE", "no program knows this setting"},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct environment env = right();
        put(&env, names[i].name, "1");
        expect_problem(&env, names[i].name, names[i].expected);
        clear(&env);
    }
}
END_TEST

START_TEST(a_long_name_is_shown_cut_and_not_guessed)
{
    struct environment env = right();
    struct cfg *cfg = NULL;
    struct buf problem;
    char name[100] = "CHECKOUT_", shown[100];
    memset(name + strlen(name), 'X', 80);
    put(&env, name, "1");
    ck_assert_int_eq(load(&env, CFG_CTL, &cfg, &problem), ERR_CONFIG);
    (void)snprintf(shown, sizeof shown, "%.64s: no program knows this setting", name);
    ck_assert_str_eq(buf_text(&problem), shown);
    buf_free(&problem);
    clear(&env);
}
END_TEST

START_TEST(a_far_name_is_not_guessed)
{
    struct environment env = right();
    struct cfg *cfg = NULL;
    struct buf problem;
    put(&env, "CHECKOUT_COLOUR_OF_THE_SKY", "blue");
    ck_assert_int_eq(load(&env, CFG_CTL, &cfg, &problem), ERR_CONFIG);
    ck_assert_ptr_null(strstr(buf_text(&problem), "did you mean"));
    buf_free(&problem);
    clear(&env);
}
END_TEST

START_TEST(a_setting_of_another_program_is_not_read)
{
    struct environment env = right();
    struct cfg *cfg = NULL;
    struct buf problem;
    put(&env, "CHECKOUT_GATEWAY_URL", "nonsense");
    ck_assert_int_eq(load(&env, CFG_PRODUCER, &cfg, &problem), 0);
    ck_assert_str_eq(cfg_str(cfg, CFG_GATEWAY_URL), "");
    cfg_free(cfg);
    buf_free(&problem);
    clear(&env);
}
END_TEST

START_TEST(a_command_needs_only_its_own_settings)
{
    struct environment env = {.count = 0};
    struct cfg *cfg = NULL;
    struct buf problem;
    buf_init(&problem, 1024);
    put(&env, "CHECKOUT_DATABASE_URL", "postgresql://127.0.0.1/shop");
    ck_assert_int_eq(cfg_load_some(CFG_CTL, CFG_BIT(DATABASE_URL), env.entries, &cfg, &problem), 0);
    ck_assert_str_eq(cfg_str(cfg, CFG_DATABASE_URL), "postgresql://127.0.0.1/shop");
    ck_assert_str_eq(cfg_str(cfg, CFG_AMQP_URL), "");
    cfg_free(cfg);
    buf_free(&problem);
    clear(&env);
}
END_TEST

START_TEST(the_dump_hides_passwords_and_secrets)
{
    struct environment env = right();
    put(&env, "CHECKOUT_AMQP_URL", "amqp://a:hush@h1/,amqp://b:hush@h2/v");
    put(&env, "CHECKOUT_DATABASE_URL", "postgresql://u:hu,sh@h1,h2/shop?password=hush");
    struct cfg *cfg = NULL;
    struct buf problem, out;
    buf_init(&out, 65536);
    ck_assert_int_eq(load(&env, EVERYBODY, &cfg, &problem), 0);
    ck_assert_int_eq(cfg_dump(cfg, &out), 0);
    const char *text = buf_text(&out);
    ck_assert_ptr_null(strstr(text, "hush"));
    ck_assert_ptr_null(strstr(text, "hu,sh"));
    ck_assert_ptr_null(strstr(text, "abcdefgh"));
    ck_assert_ptr_nonnull(strstr(text, "CHECKOUT_AMQP_URL=amqp://a:***@h1/,amqp://b:***@h2/v\n"));
    ck_assert_ptr_nonnull(strstr(text, "CHECKOUT_DATABASE_URL=postgresql://u:***@h1,h2/shop\n"));
    ck_assert_ptr_nonnull(strstr(text, "CHECKOUT_SHARDS=\n"));
    cfg_free(cfg);
    buf_free(&problem);
    buf_free(&out);
    clear(&env);
}
END_TEST

START_TEST(help_tells_every_setting_within_80_columns)
{
    struct buf out;
    buf_init(&out, 65536);
    ck_assert_int_eq(cfg_help(CFG_CONSUMER, &out), 0);
    ck_assert_ptr_nonnull(strstr(buf_text(&out), "CHECKOUT_GATEWAY_URL  (must be set)"));
    ck_assert_ptr_nonnull(strstr(buf_text(&out), "CHECKOUT_WAIT_MAX=15m"));
    ck_assert_ptr_null(strstr(buf_text(&out), "CHECKOUT_LISTEN"));
    for (const char *line = buf_text(&out); *line != '\0'; line++) {
        size_t len = strcspn(line, "\n");
        ck_assert_msg(len <= 80, "%.*s", (int)len, line);
        line += len;
    }
    buf_free(&out);
}
END_TEST

START_TEST(help_tells_limits_in_the_unit_that_fits)
{
    struct buf out;
    buf_init(&out, 65536);
    ck_assert_int_eq(cfg_help(CFG_PRODUCER, &out), 0);
    ck_assert_ptr_nonnull(strstr(buf_text(&out), "(0s to 10m)"));  /* DRAIN_DELAY */
    ck_assert_ptr_nonnull(strstr(buf_text(&out), "(10s to 24h)")); /* TICKET_TTL */
    buf_free(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cfg");
    TCase *tests = tcase_create("settings");
    tcase_add_unchecked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_right_environment_is_taken_by_every_program);
    tcase_add_test(tests, values_and_defaults_are_read);
    tcase_add_loop_test(tests, each_wrong_value_is_named, 0, (int)ARRAY_LEN(wrong_values));
    tcase_add_test(tests, a_secret_must_have_the_right_length);
    tcase_add_test(tests, a_word_of_a_file_is_visible_letters);
    tcase_add_test(tests, a_long_value_is_shown_cut);
    tcase_add_test(tests, right_values_of_each_kind);
    tcase_add_test(tests, what_a_program_does_not_use_is_empty);
    tcase_add_test(tests, an_entry_without_a_value_sets_nothing);
    tcase_add_test(tests, without_memory_it_does_not_start);
    tcase_add_test(tests, each_setting_without_a_default_must_be_set);
    tcase_add_test(tests, every_wrong_setting_is_named_at_once);
    tcase_add_test(tests, the_example_has_every_setting);
    tcase_add_test(tests, an_unknown_name_stops_the_start_and_a_misspelling_is_guessed);
    tcase_add_test(tests, a_long_name_is_shown_cut_and_not_guessed);
    tcase_add_loop_test(tests, a_password_may_come_from_a_file, 0, (int)ARRAY_LEN(with_passwords));
    tcase_add_loop_test(tests, a_rate_is_a_number_and_a_time, 0, ARRAY_LEN(rates));
    tcase_add_test(tests, a_file_of_headers_has_header_lines);
    tcase_add_loop_test(tests, a_ratio_is_in_millionths, 0, ARRAY_LEN(ratios));
    tcase_add_test(tests, a_far_name_is_not_guessed);
    tcase_add_test(tests, a_setting_of_another_program_is_not_read);
    tcase_add_test(tests, a_command_needs_only_its_own_settings);
    tcase_add_test(tests, the_dump_hides_passwords_and_secrets);
    tcase_add_test(tests, help_tells_every_setting_within_80_columns);
    tcase_add_test(tests, help_tells_limits_in_the_unit_that_fits);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
