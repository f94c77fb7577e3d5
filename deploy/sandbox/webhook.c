#include "deploy/sandbox/webhook.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/hmac.h"
#include "common/base/log.h"
#include "common/net/http/curl.h"

#define BODY_MAX ((size_t)64 * 1024)
#define OPEN_MAX 4096 /* webhooks under way; further ones are dropped */
#define CALLS_MAX 16
#define TIMEOUT_MS 10000
#define LATE_MS 3000
#define SHUFFLED_MS 1000 /* one is held so long, if none comes that can go before it */
#define AGAIN_FIRST_MS 250
#define TRIES_MAX 12

struct hook {
    struct webhooks *hooks;
    LIST_ENTRY(hook) link;
    struct loop_timer *timer;
    unsigned tries;
    struct buf body;
};

struct webhooks {
    struct loop *loop;
    struct curl_client *client;
    const char *url;
    const char *secret;
    uint64_t serial; /* of the next event; random at first, so that no two runs share one */
    size_t count;
    struct hook *held; /* waits for one that goes before it; NULL: none */
    LIST_HEAD(, hook) open;
};

static void end(struct hook *hook)
{
    if (hook->hooks->held == hook)
        hook->hooks->held = NULL;
    LIST_REMOVE(hook, link);
    hook->hooks->count--;
    loop_timer_free(hook->timer);
    buf_free(&hook->body);
    free(hook);
}

struct webhooks *webhooks_new(struct loop *loop, const char *url, const char *secret)
{
    const struct curl_options options = {.connections_max = CALLS_MAX,
                                         .connect_timeout_ms = TIMEOUT_MS};
    struct webhooks *hooks = calloc(1, sizeof *hooks);
    if (hooks == NULL)
        return NULL;
    hooks->loop = loop;
    hooks->url = url;
    hooks->secret = secret;
    hooks->client = curl_client_new(loop, &options);
    if (hooks->client == NULL) {
        free(hooks);
        return NULL;
    }
    if (getrandom(&hooks->serial, sizeof hooks->serial, 0) != (ssize_t)sizeof hooks->serial)
        hooks->serial = clock_mono_us();
    return hooks;
}

void webhooks_free(struct webhooks *hooks)
{
    if (hooks == NULL)
        return;
    curl_client_free(hooks->client);
    for (struct hook *hook = LIST_FIRST(&hooks->open), *next; hook != NULL; hook = next) {
        next = LIST_NEXT(hook, link);
        end(hook);
    }
    free(hooks);
}

/* ---- telling ---- */

static void answered(const struct curl_response *response, void *arg)
{
    struct hook *hook = arg;
    if (response->code == 0 && response->status >= 200 && response->status < 300) {
        end(hook);
        return;
    }
    if (++hook->tries == TRIES_MAX) {
        log_warning("webhook dropped after its last try", LOG_INT("http_status", response->status));
        end(hook);
        return;
    }
    loop_timer_start(hook->timer, (uint64_t)AGAIN_FIRST_MS << (hook->tries < 6 ? hook->tries : 6),
                     0);
}

/* "Stripe-Signature: t=<now>,v1=<HMAC of "t.body">" */
static int sign(const struct hook *hook, struct buf *header)
{
    char mac[HMAC_HEX_SIZE];
    struct buf text;
    int64_t now_s = clock_wall_ms() / 1000;
    buf_init(&text, BODY_MAX + 32);
    (void)buf_printf(&text, "%" PRId64 ".", now_s);
    (void)buf_append(&text, hook->body.data, hook->body.len);
    const char *secret = hook->hooks->secret;
    int code =
        text.failed ? ERR_NOMEM : hmac_sha256_hex(secret, strlen(secret), text.data, text.len, mac);
    buf_free(&text);
    if (code == 0)
        code = buf_printf(header, "Stripe-Signature: t=%" PRId64 ",v1=%s", now_s, mac);
    return code;
}

static void tell(void *arg)
{
    struct hook *hook = arg;
    struct buf signature;
    buf_init(&signature, 256);
    if (hook->hooks->held == hook)
        hook->hooks->held = NULL;
    int code = sign(hook, &signature);
    const char *headers[] = {"Content-Type: application/json", buf_text(&signature), NULL};
    const struct curl_request request = {.method = "POST",
                                         .url = hook->hooks->url,
                                         .headers = headers,
                                         .body = buf_text(&hook->body),
                                         .body_len = hook->body.len,
                                         .timeout_ms = TIMEOUT_MS,
                                         .response_max = BODY_MAX};
    if (code == 0)
        code = curl_call_start(hook->hooks->client, &request, answered, hook, NULL);
    buf_free(&signature);
    if (code < 0)
        loop_timer_start(hook->timer, AGAIN_FIRST_MS, 0);
}

/* ---- events ---- */

static struct hook *new_hook(struct webhooks *hooks, const struct webhook_event *event)
{
    struct hook *hook = hooks->count == OPEN_MAX ? NULL : calloc(1, sizeof *hook);
    if (hook == NULL)
        return NULL;
    hook->timer = loop_timer_new(hooks->loop, tell, hook);
    if (hook->timer == NULL) {
        free(hook);
        return NULL;
    }
    hook->hooks = hooks;
    buf_init(&hook->body, BODY_MAX);
    (void)buf_printf(&hook->body,
                     "{\"id\":\"evt_%016" PRIx64 "\",\"object\":\"event\",\"type\":\"%s\","
                     "\"api_version\":\"%s\",\"created\":%" PRId64 ",\"livemode\":%s,"
                     "\"pending_webhooks\":1,\"request\":null,\"data\":{\"object\":%s}}",
                     hooks->serial++, event->type, event->version, clock_wall_ms() / 1000,
                     event->live ? "true" : "false", event->object);
    hooks->count++;
    LIST_INSERT_HEAD(&hooks->open, hook, link);
    if (!hook->body.failed)
        return hook;
    end(hook);
    return NULL;
}

/* The one that is held goes behind this one. */
static void shuffle(struct hook *hook)
{
    struct hook *held = hook->hooks->held;
    hook->hooks->held = NULL;
    if (held == NULL) {
        hook->hooks->held = hook;
        loop_timer_start(hook->timer, SHUFFLED_MS, 0);
        return;
    }
    tell(hook);
    loop_timer_start(held->timer, SHUFFLED_MS / 10, 0);
}

void webhooks_tell(struct webhooks *hooks, enum fault_webhooks when,
                   const struct webhook_event *event)
{
    if (hooks == NULL || when == WEBHOOKS_NEVER)
        return;
    struct hook *hook = new_hook(hooks, event);
    if (hook == NULL) {
        log_warning("webhook dropped: too many wait, or out of memory");
        return;
    }
    if (when == WEBHOOKS_LATE) {
        loop_timer_start(hook->timer, LATE_MS, 0);
    } else if (when == WEBHOOKS_SHUFFLED) {
        shuffle(hook);
    } else if (when == WEBHOOKS_TWICE) {
        struct hook *again = new_hook(hooks, event);
        if (again != NULL) { /* the same event, a little later */
            hooks->serial--;
            buf_reset(&again->body);
            (void)buf_append(&again->body, hook->body.data, hook->body.len);
            loop_timer_start(again->timer, SHUFFLED_MS / 10, 0);
        }
        tell(hook);
    } else {
        tell(hook);
    }
}
