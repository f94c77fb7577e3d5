#include "common/service/cfg.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/service/cfg_impl.h"
#include "common/testing/failpoint.h"
#include "common/testing/seeded_bug.h"

#define NAME_MAX_LEN 64 /* longest name for a "did you mean" */
#define TYPO_MAX 3      /* letters that may differ for a "did you mean" */

const struct cfg_row cfg_rows[CFG_COUNT] = {
#define CFG_ROW(id, row_name, row_type, row_def, row_low, row_high, row_programs, row_help)        \
    [CFG_##id] = {.name = CFG_PREFIX row_name,                                                     \
                  .def = (row_def),                                                                \
                  .help = (row_help),                                                              \
                  .low = (row_low),                                                                \
                  .high = (row_high),                                                              \
                  .type = CFG_TYPE_##row_type,                                                     \
                  .programs = (row_programs)},
    CFG_TABLE(CFG_ROW)
#undef CFG_ROW
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters to add, remove or replace to make `b` of `a` (two letters swapped count as one).
 * Lengths up to NAME_MAX_LEN. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][NAME_MAX_LEN + 1];
    size_t *before = rows[0];
    size_t *above = rows[1];
    size_t *now = rows[2];
    for (size_t j = 0; j <= b_len; j++)
        above[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            now[j] = least(least(above[j] + 1, now[j - 1] + 1),
                           above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
        size_t *oldest = before;
        before = above;
        above = now;
        now = oldest;
    }
    return above[b_len];
}

/* The setting that `name` most resembles, or NULL. */
static const char *resembled(const char *name, size_t len)
{
    const size_t prefix = sizeof CFG_PREFIX - 1;
    const char *best = NULL;
    size_t best_distance = TYPO_MAX + 1;
    if (len > NAME_MAX_LEN)
        return NULL;
    for (size_t i = 0; i < CFG_COUNT; i++) {
        const char *known = cfg_rows[i].name;
        size_t known_len = strlen(known);
        size_t d = distance(name + prefix, len - prefix, known + prefix, known_len - prefix);
        /* a short name with half of its letters changed is another word */
        if (d < best_distance && d * 2 <= known_len - prefix) {
            best = known;
            best_distance = d;
        }
    }
    return best;
}

static bool is_known(const char *name, size_t len)
{
    for (size_t i = 0; i < CFG_COUNT; i++)
        if (strlen(cfg_rows[i].name) == len && memcmp(cfg_rows[i].name, name, len) == 0)
            return true;
    return false;
}

#ifdef CHECKOUT_SEEDED_BUGS
/* Settings that only builds for tests know; an unknown name is a wrong value. */
static bool is_for_tests(const char *entry)
{
    static const char bug[] = CFG_PREFIX "SEEDED_BUG=", failpoint[] = CFG_PREFIX "FAILPOINT=";
    if (strncmp(entry, bug, sizeof bug - 1) == 0)
        return seeded_bug_known(entry + sizeof bug - 1);
    return strncmp(entry, failpoint, sizeof failpoint - 1) == 0 &&
           failpoint_known(entry + sizeof failpoint - 1);
}
#else
#define is_for_tests(entry) false
#endif

/* The next line of `problems`, which names the setting. */
static void begin_problem(struct buf *problems, const char *name, size_t name_len)
{
    if (buf_text(problems)[0] != '\0')
        (void)buf_char(problems, '\n');
    (void)buf_append(problems, name, name_len);
}

static int check_names(char *const *environment, struct buf *problems)
{
    int code = 0;
    for (char *const *entry = environment; *entry != NULL; entry++) {
        size_t len = strcspn(*entry, "=");
        if (strncmp(*entry, CFG_PREFIX, sizeof CFG_PREFIX - 1) != 0 || is_known(*entry, len) ||
            cfg_is_service_link(*entry) || is_for_tests(*entry))
            continue;
        begin_problem(problems, *entry, least(len, NAME_MAX_LEN));
        (void)buf_str(problems, ": no program knows this setting");
        const char *meant = resembled(*entry, len);
        if (meant != NULL)
            (void)buf_printf(problems, "; did you mean %s?", meant);
        code = ERR_CONFIG;
    }
    return code;
}

static const char *find(char *const *environment, const char *name)
{
    size_t len = strlen(name);
    for (char *const *entry = environment; *entry != NULL; entry++)
        if (strncmp(*entry, name, len) == 0 && (*entry)[len] == '=')
            return *entry + len + 1;
    return NULL;
}

static bool is_given(char *const *environment, enum cfg_id id)
{
    const char *text = find(environment, cfg_rows[id].name);
    return text != NULL && text[0] != '\0';
}

/* With the keys of an identity provider the shop needs no secret of tokens; without it event
 * tickets need a secret of their own. */
static bool may_be_absent(const struct cfg_row *row, char *const *environment)
{
    bool by_keys_alone =
        is_given(environment, CFG_JWKS_FILE) && !is_given(environment, CFG_JWT_SECRET_FILE);
    if (row == &cfg_rows[CFG_JWT_SECRET_FILE])
        return by_keys_alone;
    if (row == &cfg_rows[CFG_TICKET_SECRET_FILE])
        return !by_keys_alone;
    return row->def != NULL && row->def[0] == '\0';
}

/* The settings that belong to the URL of a server: whoever needs the one needs all. */
static const struct server {
    enum cfg_id url;
    enum cfg_id password;
    bool user_needed;
    cfg_set files;
} servers[] = {
    {CFG_AMQP_URL, CFG_AMQP_PASSWORD_FILE, true,
     CFG_BIT(AMQP_CA_FILE) | CFG_BIT(AMQP_CERT_FILE) | CFG_BIT(AMQP_KEY_FILE)},
    {CFG_DATABASE_URL, CFG_DATABASE_PASSWORD_FILE, true, 0},
    {CFG_REDIS_URL, CFG_REDIS_PASSWORD_FILE, false,
     CFG_BIT(REDIS_CA_FILE) | CFG_BIT(REDIS_CERT_FILE) | CFG_BIT(REDIS_KEY_FILE)},
    {CFG_SMTP_URL, CFG_SMTP_PASSWORD_FILE, true, CFG_BIT(SMTP_CA_FILE)},
};

/* Whether a URL is checked only with the password of a file in it. */
static bool awaits_password(const struct cfg_row *row, char *const *environment)
{
    for (size_t i = 0; i < ARRAY_LEN(servers); i++)
        if (row == &cfg_rows[servers[i].url])
            return is_given(environment, servers[i].password);
    return false;
}

static int check_value(const struct cfg_row *row, struct cfg_value *value, struct buf *problems)
{
    struct buf what;
    buf_init(&what, 512);
    int code = cfg_check(row, value->text, value, &what);
    if (code == ERR_CONFIG) {
        begin_problem(problems, row->name, strlen(row->name));
        (void)buf_printf(problems, ": %s", buf_text(&what));
    }
    buf_free(&what);
    return code;
}

static int load_value(const struct cfg_row *row, char *const *environment, struct cfg_value *value,
                      struct buf *problems)
{
    const char *text = find(environment, row->name);
    value->set = text != NULL;
    bool optional = may_be_absent(row, environment);
    if (text == NULL)
        text = optional ? "" : row->def;
    if (text == NULL ||
        (text[0] == '\0' && row == &cfg_rows[CFG_TICKET_SECRET_FILE] && !optional)) {
        begin_problem(problems, row->name, strlen(row->name));
        (void)buf_printf(problems, ": must be set (%s)", row->help);
        return ERR_CONFIG;
    }
    value->text = strdup(text);
    if (value->text == NULL)
        return ERR_NOMEM;
    if (text[0] == '\0' && optional)
        return 0; /* it may be absent, and is */
    return awaits_password(row, environment) ? 0 : check_value(row, value, problems);
}

static cfg_set with_companions(cfg_set needed)
{
    for (size_t i = 0; i < ARRAY_LEN(servers); i++)
        if ((needed & ((cfg_set)1 << servers[i].url)) != 0)
            needed |= ((cfg_set)1 << servers[i].password) | servers[i].files;
    return needed;
}

static int add_password(struct cfg *cfg, const struct server *server, struct buf *problems)
{
    struct cfg_value *url = &cfg->values[server->url];
    const struct cfg_value *password = &cfg->values[server->password];
    if (url->text == NULL || password->secret_len == 0)
        return 0;
    const struct cfg_row *row = &cfg_rows[server->url];
    const char *problem = NULL;
    int code = cfg_add_password(url, password, server->user_needed, &problem);
    if (code == ERR_CONFIG) {
        begin_problem(problems, row->name, strlen(row->name));
        (void)buf_printf(problems, ": %s%s", problem, cfg_rows[server->password].name);
    }
    return code < 0 ? code : check_value(row, url, problems);
}

static int add_passwords(struct cfg *cfg, struct buf *problems)
{
    int result = 0;
    for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
        int code = add_password(cfg, &servers[i], problems);
        if (code < 0)
            result = code;
    }
    return result;
}

int cfg_load_some(uint32_t program, cfg_set needed, char *const *environment, struct cfg **ret_cfg,
                  struct buf *ret_problem)
{
    struct cfg *cfg = calloc(1, sizeof *cfg);
    int code = cfg == NULL ? ERR_NOMEM : check_names(environment, ret_problem);
    needed = with_companions(needed);
    for (size_t i = 0; i < CFG_COUNT && code != ERR_NOMEM; i++) {
        if ((cfg_rows[i].programs & program) == 0 || (needed & ((cfg_set)1 << i)) == 0)
            continue;
        int row_code = load_value(&cfg_rows[i], environment, &cfg->values[i], ret_problem);
        if (row_code < 0)
            code = row_code;
    }
    if (code == 0)
        code = add_passwords(cfg, ret_problem);
    if (code == ERR_NOMEM) {
        buf_reset(ret_problem);
        (void)buf_str(ret_problem, "out of memory while reading the settings");
        code = ERR_CONFIG;
    }
    if (code < 0) {
        cfg_free(cfg);
        return code;
    }
    cfg->program = program;
    *ret_cfg = cfg;
    return 0;
}

int cfg_load(uint32_t program, char *const *environment, struct cfg **ret_cfg,
             struct buf *ret_problem)
{
    return cfg_load_some(program, CFG_EVERY, environment, ret_cfg, ret_problem);
}

void cfg_free(struct cfg *cfg)
{
    if (cfg == NULL)
        return;
    for (size_t i = 0; i < CFG_COUNT; i++) {
        struct cfg_value *value = &cfg->values[i];
        if (value->text != NULL)
            explicit_bzero(value->text, strlen(value->text)); /* URLs hold passwords */
        if (value->secret != NULL)
            explicit_bzero(value->secret, value->secret_len);
        free(value->text);
        free(value->secret);
        free(value->host);
    }
    free(cfg);
}

const char *cfg_name(enum cfg_id id)
{
    return cfg_rows[id].name;
}

const char *cfg_str(const struct cfg *cfg, enum cfg_id id)
{
    return cfg->values[id].text == NULL ? "" : cfg->values[id].text;
}

int64_t cfg_int(const struct cfg *cfg, enum cfg_id id)
{
    return cfg->values[id].number;
}

struct rate cfg_rate(const struct cfg *cfg, enum cfg_id id)
{
    const struct cfg_value *value = &cfg->values[id];
    return (struct rate){.count = value->number, .period_s = value->period_s};
}

const char *cfg_secret(const struct cfg *cfg, enum cfg_id id, size_t *ret_len)
{
    *ret_len = cfg->values[id].secret_len;
    return cfg->values[id].secret == NULL ? "" : cfg->values[id].secret;
}

const char *cfg_host(const struct cfg *cfg, enum cfg_id id)
{
    return cfg->values[id].host == NULL ? "" : cfg->values[id].host;
}

uint16_t cfg_port(const struct cfg *cfg, enum cfg_id id)
{
    return cfg->values[id].port;
}
