#include "ctl/webhooks/endpoint.h"

#include <stdio.h>
#include <string.h>

#include "common/net/url.h"
#include "common/shop/hook_body.h"

#define NAME_MAX_LEN 40
#define URL_MAX_LEN 2000

int endpoint_check_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    if (name[len] == '\0' && len > 0 && len <= NAME_MAX_LEN && name[0] != '-' && name[0] != '_')
        return CTL_FINE;
    return ctl_complain(CTL_USAGE,
                        "\"%.40s\" is no name of an endpoint: up to 40 of a-z, 0-9, - and _, and "
                        "neither of these first",
                        name);
}

int endpoint_check_url(const char *url, bool plain_http)
{
    struct url parts;
    const char *problem = NULL;
    size_t len = strlen(url);
    bool https = url_has_scheme(url, len, "https");
    if (!https && !(plain_http && url_has_scheme(url, len, "http")))
        problem = "it begins with neither https:// nor, with CHECKOUT_HOOKS_HTTP=true, http://";
    else if (len > URL_MAX_LEN)
        problem = "it is longer than 2000 bytes";
    for (const char *p = url; *p != '\0' && problem == NULL; p++)
        if (*p <= ' ' || *p > '~')
            problem = "it has a character that does not belong into a URL";
    if (problem == NULL && strchr(url, '#') != NULL)
        problem = "it has a fragment (#…), which is never sent";
    if (problem == NULL && url_parse(url, len, &parts, &problem) == 0 && parts.has_user)
        problem = "it names a user: logins are not sent";
    return problem == NULL ? CTL_FINE : ctl_complain(CTL_USAGE, "the URL: %s", problem);
}

static bool is_type(const char *text, size_t len)
{
    for (const char *const *type = hook_types; *type != NULL; type++)
        if (strlen(*type) == len && strncmp(*type, text, len) == 0)
            return true;
    return false;
}

int endpoint_types(const char *list, struct buf *out)
{
    char type[64];
    pg_array_begin(out);
    for (const char *p = strcmp(list, "all") == 0 ? NULL : list; p != NULL;) {
        size_t len = strcspn(p, ",");
        if (!is_type(p, len))
            return ctl_complain(CTL_USAGE,
                                "--types: \"%.*s\" is no type of event; docs/webhooks.md lists "
                                "them",
                                (int)(len < 40 ? len : 40), p);
        (void)snprintf(type, sizeof type, "%.*s", (int)len, p);
        pg_array_text(out, type);
        p = p[len] == ',' ? p + len + 1 : NULL;
    }
    pg_array_end(out);
    return out->failed ? ctl_complain(CTL_USAGE, "--types: too many") : CTL_FINE;
}

static const struct pg_statement exists_statement = {
    "ctl_hooks_exists", "select exists (select 1 from checkout.hook_endpoints where endpoint = $1)",
    1};

static void take_bool(const struct pg_result *result, void *arg)
{
    *(bool *)arg = pg_bool(result, 0, 0);
}

int endpoint_change(struct ctl *ctl, const struct pg_statement *statement,
                    const char *const *params)
{
    bool found = false;
    int exit_code = endpoint_check_name(params[0]);
    if (exit_code == CTL_FINE)
        exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code == CTL_FINE)
        exit_code = ctl_query(ctl, statement, params, take_bool, &found);
    if (exit_code == CTL_FINE && !found)
        return ctl_complain(CTL_FAILED, "there is no endpoint %s", params[0]);
    return exit_code;
}

int endpoint_need(struct ctl *ctl, const char *name)
{
    return endpoint_change(ctl, &exists_statement, &name);
}
