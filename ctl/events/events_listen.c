/* For developers: the feed, as webhooks to a URL of their own machine. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/net/http/curl.h"
#include "common/shop/hook_body.h"
#include "common/shop/hook_keys.h"
#include "ctl/command.h"
#include "ctl/events/feed.h"
#include "ctl/webhooks/endpoint.h"

#define TIMEOUT_MS 15000
#define CONNECT_MS 5000
#define ANSWER_MAX 4096
#define HEADERS_MAX 5
#define TYPE_SIZE 64
#define HEADER_SIZE 512

/* What one page holds is sent after it was read. */
struct letter {
    struct letter *next;
    char id[HOOK_ID_SIZE];
    char type[TYPE_SIZE];
    struct buf body;
};

struct listen {
    struct feed feed;
    const char *url;
    const char *types; /* NULL: all */
    struct hook_keys *keys;
    struct curl_client *client;
    struct letter *first;
    struct letter **end;
    bool full;               /* no memory for a letter */
    const struct letter *at; /* on its way */
    bool answered;
};

/* ---- reading ---- */

static bool is_wanted(const char *types, const char *type)
{
    size_t len = strlen(type);
    for (const char *p = types; p != NULL; p = strchr(p, ',') == NULL ? NULL : strchr(p, ',') + 1)
        if (strncmp(p, type, len) == 0 && (p[len] == ',' || p[len] == '\0'))
            return true;
    return types == NULL;
}

static int write_letter(const struct pg_result *result, int row, struct letter *letter)
{
    struct hook_event event = {
        .event_id = pg_int(result, row, EVENT_JSON_ID),
        .type = letter->type,
        .order_id = pg_text_or_null(result, row, EVENT_JSON_ORDER),
        .sequence = pg_int(result, row, EVENT_JSON_SEQUENCE),
        .reason = pg_text_or_null(result, row, EVENT_JSON_REASON),
        .user_id = pg_text_or_null(result, row, EVENT_JSON_USER),
        .sku = pg_text_or_null(result, row, EVENT_JSON_SKU),
        .quantity = pg_int(result, row, EVENT_JSON_QUANTITY),
        .has_amount = !pg_null(result, row, EVENT_JSON_AMOUNT),
        .amount = pg_int(result, row, EVENT_JSON_AMOUNT),
        .currency = pg_text_or_null(result, row, EVENT_JSON_CURRENCY),
        .reference = pg_text_or_null(result, row, EVENT_JSON_REFERENCE),
    };
    hook_id(&event, 0, letter->id);
    int code = clock_parse_rfc3339(pg_text(result, row, EVENT_JSON_AT), &event.time_ms);
    return code == 0 ? hook_body(&event, &letter->body) : code;
}

static bool take_row(const struct pg_result *result, int row, void *arg)
{
    struct listen *listen = arg;
    char type[TYPE_SIZE];
    (void)snprintf(type, sizeof type, HOOK_TYPE_PREFIX "%s",
                   pg_text(result, row, EVENT_JSON_STATUS));
    if (!is_wanted(listen->types, type))
        return true;
    struct letter *letter = calloc(1, sizeof *letter);
    if (letter == NULL) {
        listen->full = true;
        return false;
    }
    buf_init(&letter->body, HOOK_BODY_MAX);
    (void)snprintf(letter->type, sizeof letter->type, "%s", type);
    *listen->end = letter;
    listen->end = &letter->next;
    listen->full = write_letter(result, row, letter) < 0;
    return !listen->full;
}

static void forget_first(struct listen *listen)
{
    struct letter *letter = listen->first;
    listen->first = letter->next;
    if (listen->first == NULL)
        listen->end = &listen->first;
    buf_free(&letter->body);
    free(letter);
}

/* ---- sending ---- */

static void answered(const struct curl_response *response, void *arg)
{
    struct listen *listen = arg;
    if (response->code == 0)
        (void)printf("%u  %s  %s\n", response->status, listen->at->id, listen->at->type);
    else
        (void)printf("%s  %s  %s\n", response->reason, listen->at->id, listen->at->type);
    (void)fflush(stdout);
    listen->answered = true;
    loop_stop(listen->feed.ctl->loop);
}

static int sign(const struct listen *listen, const struct letter *letter, int64_t now_s,
                char ret_header[HEADER_SIZE])
{
    struct buf signature;
    buf_init(&signature, HEADER_SIZE);
    int code = hook_keys_sign(listen->keys, letter->id, now_s, buf_text(&letter->body),
                              letter->body.len, &signature);
    (void)snprintf(ret_header, HEADER_SIZE, "webhook-signature: %s", buf_text(&signature));
    buf_free(&signature);
    return code;
}

/* Sends one, and waits for what comes of it. */
static int post(struct listen *listen, const struct letter *letter)
{
    char id[HEADER_SIZE], timestamp[HEADER_SIZE], signature[HEADER_SIZE];
    int64_t now_s = clock_wall_ms() / 1000;
    const char *const headers[] = {
        "Content-Type: application/json", "Expect:", id, timestamp, signature, NULL};
    const struct curl_request request = {.method = "POST",
                                         .url = listen->url,
                                         .headers = headers,
                                         .body = buf_text(&letter->body),
                                         .body_len = letter->body.len,
                                         .timeout_ms = TIMEOUT_MS,
                                         .response_max = ANSWER_MAX,
                                         .cut = true};
    struct curl_call *call;
    (void)snprintf(id, sizeof id, "webhook-id: %s", letter->id);
    (void)snprintf(timestamp, sizeof timestamp, "webhook-timestamp: %" PRId64, now_s);
    int code = sign(listen, letter, now_s, signature);
    listen->at = letter;
    listen->answered = false;
    if (code == 0)
        code = curl_call_start(listen->client, &request, answered, listen, &call);
    if (code < 0)
        return ctl_complain(CTL_FAILED, "cannot send: %s", err_text(code));
    while (!listen->answered) /* a signal ends the loop too, but not the call */
        loop_run(listen->feed.ctl->loop);
    return CTL_FINE;
}

static int go_on(struct listen *listen)
{
    struct feed *feed = &listen->feed;
    int exit_code = CTL_FINE;
    while (!feed->stopping && exit_code == CTL_FINE) {
        exit_code = feed_read(feed);
        if (exit_code == CTL_FINE && listen->full)
            exit_code = ctl_complain(CTL_FAILED, "out of memory");
        while (listen->first != NULL && !feed->stopping && exit_code == CTL_FINE) {
            exit_code = post(listen, listen->first);
            forget_first(listen);
        }
        if (exit_code == CTL_FINE && !feed->more)
            feed_rest(feed);
    }
    return exit_code;
}

/* ---- the command ---- */

static int check_types(const char *types)
{
    struct buf parsed;
    buf_init(&parsed, ENDPOINT_TYPES_MAX);
    int exit_code = types == NULL ? CTL_FINE : endpoint_types(types, &parsed);
    buf_free(&parsed);
    return exit_code;
}

/* Those of the file; without one, a secret for this run, which is shown. */
static int take_keys(struct listen *listen, const char *path, char ret_secret[HOOK_SECRET_SIZE])
{
    char text[HOOK_KEYS_BYTES_MAX];
    const char *problem = "no random numbers";
    size_t len = 0;
    FILE *file = path == NULL ? NULL : fopen(path, "re");
    ret_secret[0] = '\0';
    if (path == NULL && hook_secret_new(ret_secret) == 0)
        len = (size_t)snprintf(text, sizeof text, "%s", ret_secret);
    else if (file != NULL)
        len = fread(text, 1, sizeof text, file);
    if (file != NULL)
        (void)fclose(file); /* only read */
    int code = hook_keys_parse(text, len, &listen->keys, &problem);
    explicit_bzero(text, sizeof text);
    return code == 0
               ? CTL_FINE
               : ctl_complain(CTL_FAILED, "%s: %s", path == NULL ? "a secret" : path, problem);
}

static int open_listen(struct listen *listen, struct ctl *ctl, const struct command_args *args)
{
    const struct command *command = &command_events_listen;
    const char *after = command_option(command, args, "after");
    const struct curl_options options = {.connections_max = 1, .connect_timeout_ms = CONNECT_MS};
    char secret[HOOK_SECRET_SIZE];
    listen->url = command_option(command, args, "forward-to");
    listen->types = command_option(command, args, "types");
    if (listen->url == NULL)
        return ctl_complain(CTL_USAGE, "--forward-to URL is missing");
    int exit_code = check_types(listen->types);
    if (exit_code == CTL_FINE)
        exit_code = take_keys(listen, command_option(command, args, "secret-file"), secret);
    if (exit_code == CTL_FINE)
        exit_code =
            feed_open(&listen->feed, ctl, after == NULL ? "now" : after, true, take_row, listen);
    if (exit_code != CTL_FINE)
        return exit_code;
    listen->client = curl_client_new(ctl->loop, &options);
    if (listen->client == NULL)
        return ctl_complain(CTL_FAILED, "out of memory");
    (void)printf("listening; forwarding to %s%s%s\n", listen->url,
                 secret[0] == '\0' ? "" : ", signed with ", secret);
    (void)fflush(stdout);
    return CTL_FINE;
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    static struct listen listen; /* too large for the stack */
    listen = (struct listen){.end = &listen.first};
    int exit_code = open_listen(&listen, ctl, args);
    if (exit_code == CTL_FINE)
        exit_code = go_on(&listen);
    while (listen.first != NULL)
        forget_first(&listen);
    curl_client_free(listen.client);
    feed_close(&listen.feed);
    hook_keys_free(listen.keys);
    return exit_code;
}

const struct command command_events_listen = {
    .words = "events listen",
    .operands = "",
    .summary = "forwards events to a URL, while one writes a receiver",
    .details = "As checkout-webhooks sends them, one after the other, but each once, whatever the "
               "URL answers, to any address, and without a log: not for service. Prints what each "
               "was answered. Signs with a new secret, which it shows, or with the keys of a file. "
               "Ends by SIGINT or SIGTERM.",
    .options = {{"forward-to", "URL", "where to"},
                {"types", "LIST", "only these, with commas: order.confirmed,… (all)"},
                {"secret-file", "FILE", "sign with the keys (whsec_, whsk_) in it"},
                {"after", "CURSOR", "begin after it (events follow shows it), not now"}},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run,
};
