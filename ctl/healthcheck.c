#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/net/http/curl.h"
#include "ctl/command.h"

#define PATIENCE_MS 3000
#define ANSWER_MAX 8192
#define URL_SIZE 320

struct asking {
    struct ctl *ctl;
    const char *url;
    int exit_code;
};

/* Where a daemon that listens on every address of its machine is asked. */
static const char *reachable(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 ? "127.0.0.1" : strcmp(host, "::") == 0 ? "::1" : host;
}

/* An answer as one line. */
static void print_line(FILE *out, const char *url, const char *text, size_t len)
{
    while (len > 0 && text[len - 1] == '\n')
        len--;
    (void)fprintf(out, "%s: ", url);
    for (size_t i = 0; i < len; i++)
        (void)fputs(text[i] == '\n' ? "; " : (const char[]){text[i], '\0'}, out);
    (void)fputc('\n', out);
}

static void answered(const struct curl_response *response, void *arg)
{
    struct asking *asking = arg;
    if (response->code != 0)
        (void)ctl_complain(CTL_FAILED, "%s: no answer: %s", asking->url, response->problem);
    else if (response->status == 200)
        asking->exit_code = CTL_FINE;
    if (response->code == 0)
        print_line(response->status == 200 ? stdout : stderr, asking->url, response->body,
                   response->body_len);
    loop_stop(asking->ctl->loop);
}

static int ask(struct ctl *ctl, const char *url)
{
    struct asking asking = {ctl, url, CTL_FAILED};
    const struct curl_options options = {.connections_max = 1, .connect_timeout_ms = PATIENCE_MS};
    const struct curl_request request = {
        .method = "GET", .url = url, .timeout_ms = PATIENCE_MS, .response_max = ANSWER_MAX};
    struct curl_call *call;
    struct curl_client *client = curl_client_new(ctl->loop, &options);
    if (client != NULL && curl_call_start(client, &request, answered, &asking, &call) == 0)
        loop_run(ctl->loop);
    else
        (void)ctl_complain(CTL_FAILED, "%s: cannot be asked", url);
    curl_client_free(client);
    return asking.exit_code;
}

/* Docker keeps the exit code 2 for itself: a wrong setting is 1 here. */
static int run(struct ctl *ctl, const struct command_args *args)
{
    char url[URL_SIZE];
    if (ctl_load(ctl, CFG_BIT(ADMIN_LISTEN)) != CTL_FINE)
        return CTL_FAILED;
    const char *host = reachable(cfg_host(ctl->cfg, CFG_ADMIN_LISTEN));
    unsigned port = cfg_port(ctl->cfg, CFG_ADMIN_LISTEN);
    if (port == 0)
        return ctl_complain(CTL_FAILED,
                            "%s has no fixed port, so there is no address to ask; set one, "
                            "such as 127.0.0.1:9301, for the daemon and for this",
                            cfg_name(CFG_ADMIN_LISTEN));
    const char *page = command_switch(&command_healthcheck, args, "live") ? "livez" : "readyz";
    bool bare = strchr(host, ':') != NULL;
    int n = snprintf(url, sizeof url, "http://%s%s%s:%u/%s", bare ? "[" : "", host, bare ? "]" : "",
                     port, page);
    if (n < 0 || (size_t)n >= sizeof url)
        return ctl_complain(CTL_FAILED, "%s: the name is too long", cfg_name(CFG_ADMIN_LISTEN));
    return ask(ctl, url);
}

const struct command command_healthcheck = {
    .words = "healthcheck",
    .operands = "",
    .summary = "asks a daemon here whether it is ready; for containers",
    .details = "Asks the daemon whose CHECKOUT_ADMIN_LISTEN this environment has, so it belongs "
               "into the daemon's own container. Exit code 0: it answers that it is ready (--live: "
               "that it runs); 1: it does not, or not within 3 s, or the setting is wrong or has "
               "no fixed port. Prints one line. For a check that starts a container anew take "
               "--live: a daemon that waits for a server is not ready, and a restart mends "
               "nothing.",
    .options = {{"live", NULL, "ask /livez instead of /readyz"}},
    .run = run,
};
