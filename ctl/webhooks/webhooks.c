/* Endpoints of the shop's backend: where webhooks go. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/shop/hook_keys.h"
#include "ctl/command.h"
#include "ctl/listing.h"
#include "ctl/webhooks/endpoint.h"

#define PATH_SIZE 4096

static const struct pg_statement list_statement = {
    "ctl_hooks_list",
    "select e.endpoint, e.url, coalesce(array_to_string(e.types, ','), 'all'), n.due,"
    "       n.oldest_ms / 1000, e.failures, e.paused"
    "  from checkout.hooks_now() n join checkout.hook_endpoints e on e.endpoint = n.endpoint"
    " order by e.endpoint",
    0};
static const struct pg_statement add_statement = {
    "ctl_hooks_add", "select checkout.add_hook($1::text, $2::text, $3::text[], $4::boolean)", 4};
static const struct pg_statement set_statement = {
    "ctl_hooks_set", "select checkout.set_hook($1::text, $2::text, $3::text[])", 3};
static const struct pg_statement remove_statement = {"ctl_hooks_remove",
                                                     "select checkout.remove_hook($1::text)", 1};
static const struct pg_statement pause_statement = {"ctl_hooks_pause",
                                                    "select checkout.pause_hook($1::text)", 1};
static const struct pg_statement resume_statement = {"ctl_hooks_resume",
                                                     "select checkout.resume_hook($1::text)", 1};

static const struct table_column columns[] = {
    {"ENDPOINT", "endpoint", TABLE_TEXT}, {"URL", "url", TABLE_TEXT},
    {"TYPES", "types", TABLE_TEXT},       {"DUE", "due", TABLE_NUMBER},
    {"OLDEST", "oldest_s", TABLE_AGE},    {"FAILURES", "failures", TABLE_NUMBER},
    {"PAUSED", "paused", TABLE_TEXT},
};

static int run_list(struct ctl *ctl, const struct command_args *args)
{
    struct table *table;
    (void)args;
    int exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code == CTL_FINE)
        exit_code = listing_query(ctl, &list_statement, NULL, columns, ARRAY_LEN(columns), &table);
    if (exit_code != CTL_FINE)
        return exit_code;
    listing_print(ctl, table, INT64_MAX, "no endpoints", "", false);
    table_free(table);
    return CTL_FINE;
}

const struct command command_webhooks_list = {
    .words = "webhooks list",
    .operands = "",
    .summary = "shows endpoints, and what waits for each",
    .details = "FAILURES are those in a row. A paused endpoint is sent nothing until webhooks "
               "resume.",
    .settings = CFG_BIT(DATABASE_URL),
    .run = run_list,
};

/* ---- the key of a new endpoint ---- */

/* Makes its file, unless there is one. False after saying what is to be done. */
static bool make_key(const char *path)
{
    char secret[HOOK_SECRET_SIZE];
    if (access(path, F_OK) == 0)
        return true;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    bool done = fd >= 0 && hook_secret_new(secret) == 0 && dprintf(fd, "%s\n", secret) > 0 &&
                fsync(fd) == 0;
    int error = errno;
    explicit_bzero(secret, sizeof secret);
    if (fd >= 0)
        done = close(fd) == 0 && done;
    if (fd >= 0 && !done)
        (void)unlink(path); /* else it would pass for a key */
    if (!done)
        (void)fprintf(stderr,
                      "checkoutctl: %s: %s; put a key there, where checkout-webhooks runs: "
                      "docs/webhooks.md says how\n",
                      path, strerror(error));
    return done;
}

static int run_add(struct ctl *ctl, const struct command_args *args)
{
    const char *name = args->operands[0];
    const char *list = command_option(&command_webhooks_add, args, "types");
    bool from_start = command_switch(&command_webhooks_add, args, "from-start");
    struct buf types;
    char path[PATH_SIZE];
    buf_init(&types, ENDPOINT_TYPES_MAX);
    int exit_code = endpoint_check_name(name);
    if (exit_code == CTL_FINE)
        exit_code = endpoint_check_url(args->operands[1], cfg_int(ctl->cfg, CFG_HOOKS_HTTP) != 0);
    if (exit_code == CTL_FINE && list != NULL && strcmp(list, "all") != 0)
        exit_code = endpoint_types(list, &types);
    if (exit_code == CTL_FINE)
        exit_code = ctl_need(ctl, &contact_pg);
    const char *const params[] = {name, args->operands[1], types.len == 0 ? NULL : buf_text(&types),
                                  from_start ? "t" : "f"};
    if (exit_code == CTL_FINE)
        exit_code = ctl_query(ctl, &add_statement, params, NULL, NULL);
    buf_free(&types);
    if (exit_code != CTL_FINE)
        return exit_code;
    (void)snprintf(path, sizeof path, "%s/%s", cfg_str(ctl->cfg, CFG_HOOKS_SECRETS), name);
    bool has_key = make_key(path);
    if (ctl->json)
        (void)printf("{\"endpoint\":\"%s\",\"has_key\":%s}\n", name, has_key ? "true" : "false");
    else
        (void)printf("%s is sent %s%s%s\n", name,
                     from_start ? "what has happened so far, and what happens from now on"
                                : "what happens from now on",
                     has_key ? "; its key is in " : "", has_key ? path : "");
    return CTL_FINE;
}

const struct command command_webhooks_add = {
    .words = "webhooks add",
    .operands = "NAME URL",
    .operand_count = 2,
    .summary = "sends webhooks to a URL of the shop's backend",
    .details =
        "checkout-webhooks sends it what happens from now on, or with --from-start also what "
        "has happened before and was not purged, signed with the key in the "
        "file NAME of CHECKOUT_HOOKS_SECRETS. Without such a file here, one with a new key "
        "is made, which the receiver must have. 16 endpoints at most.",
    .options = {{"types", "LIST", "only these, with commas: order.confirmed,… (all)"},
                {"from-start", NULL, "every event that there is, not only new ones"}},
    .settings = CFG_BIT(DATABASE_URL) | CFG_BIT(HOOKS_SECRETS) | CFG_BIT(HOOKS_HTTP),
    .run = run_add,
};

static int run_set(struct ctl *ctl, const struct command_args *args)
{
    const char *url = command_option(&command_webhooks_set, args, "url");
    const char *list = command_option(&command_webhooks_set, args, "types");
    struct buf types;
    buf_init(&types, ENDPOINT_TYPES_MAX);
    int exit_code = url == NULL && list == NULL
                        ? ctl_complain(CTL_USAGE, "--url or --types is missing")
                        : CTL_FINE;
    if (exit_code == CTL_FINE && url != NULL)
        exit_code = endpoint_check_url(url, cfg_int(ctl->cfg, CFG_HOOKS_HTTP) != 0);
    if (exit_code == CTL_FINE && list != NULL)
        exit_code = endpoint_types(list, &types);
    const char *const params[] = {args->operands[0], url, list == NULL ? NULL : buf_text(&types)};
    if (exit_code == CTL_FINE)
        exit_code = endpoint_change(ctl, &set_statement, params);
    buf_free(&types);
    return exit_code;
}

const struct command command_webhooks_set = {
    .words = "webhooks set",
    .operands = "NAME",
    .operand_count = 1,
    .summary = "changes the URL or the types of an endpoint",
    .details = "Types count for events from now on.",
    .options = {{"url", "URL", "where it is"},
                {"types", "LIST", "what it is sent, separated by commas; all: everything"}},
    .settings = CFG_BIT(DATABASE_URL) | CFG_BIT(HOOKS_HTTP),
    .run = run_set,
};

static int run_remove(struct ctl *ctl, const struct command_args *args)
{
    return endpoint_change(ctl, &remove_statement, args->operands);
}

const struct command command_webhooks_remove = {
    .words = "webhooks remove",
    .operands = "NAME",
    .operand_count = 1,
    .summary = "forgets an endpoint, and what waits for it",
    .details = "Its file of keys stays.",
    .settings = CFG_BIT(DATABASE_URL),
    .run = run_remove,
};

static int run_pause(struct ctl *ctl, const struct command_args *args)
{
    return endpoint_change(ctl, &pause_statement, args->operands);
}

const struct command command_webhooks_pause = {
    .words = "webhooks pause",
    .operands = "NAME",
    .operand_count = 1,
    .summary = "sends an endpoint nothing for now",
    .details = "What happens meanwhile waits for webhooks resume. No event is lost.",
    .settings = CFG_BIT(DATABASE_URL),
    .run = run_pause,
};

static int run_resume(struct ctl *ctl, const struct command_args *args)
{
    return endpoint_change(ctl, &resume_statement, args->operands);
}

const struct command command_webhooks_resume = {
    .words = "webhooks resume",
    .operands = "NAME",
    .operand_count = 1,
    .summary = "sends a paused endpoint what has waited, and goes on",
    .details = "In order for each order. Try webhooks test first.",
    .settings = CFG_BIT(DATABASE_URL),
    .run = run_resume,
};

static int run_key(struct ctl *ctl, const struct command_args *args)
{
    char path[PATH_SIZE], text[HOOK_KEYS_BYTES_MAX];
    struct hook_keys *keys = NULL;
    const char *problem = NULL;
    struct buf lines;
    int exit_code = endpoint_check_name(args->operands[0]);
    if (exit_code != CTL_FINE)
        return exit_code;
    (void)snprintf(path, sizeof path, "%s/%s", cfg_str(ctl->cfg, CFG_HOOKS_SECRETS),
                   args->operands[0]);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return ctl_complain(CTL_FAILED, "%s: %s", path, strerror(errno));
    size_t len = fread(text, 1, sizeof text, file);
    (void)fclose(file); /* only read */
    int code = hook_keys_parse(text, len, &keys, &problem);
    explicit_bzero(text, sizeof text);
    if (code < 0)
        return ctl_complain(CTL_FAILED, "%s: %s", path,
                            problem == NULL ? "out of memory" : problem);
    buf_init(&lines, HOOK_KEYS_BYTES_MAX);
    if (hook_keys_show(keys, &lines) == 0)
        (void)fputs(buf_text(&lines), stdout);
    buf_free(&lines);
    hook_keys_free(keys);
    return CTL_FINE;
}

const struct command command_webhooks_key = {
    .words = "webhooks key",
    .operands = "NAME",
    .operand_count = 1,
    .summary = "shows the public keys of an endpoint's signatures",
    .details = "A line for each key in its file in CHECKOUT_HOOKS_SECRETS: whpk_… of one for "
               "Ed25519; of a secret only that it is one.",
    .settings = CFG_BIT(HOOKS_SECRETS),
    .run = run_key,
};
