/* What a test sees and sets, /_control. */
#include <inttypes.h>

#include "common/base/log.h"
#include "deploy/sandbox/dashboard.h"

#define PROBLEM_SIZE 256

void control_show(struct gateway *g, struct http_request *request)
{
    const char *order = http_request_query(request, "order_id");
    buf_reset(&g->out);
    (void)buf_char(&g->out, '{');
    faults_write(&g->faults, &g->out);
    size_t open = http_server_pending(g->http) - 1; /* without this one */
    (void)buf_printf(&g->out,
                     ",\"intents\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"replays\":%" PRIu64
                     ",\"looks\":%" PRIu64 ",\"limited\":%" PRIu64 ",\"open\":%zu",
                     store_intent_count(g->store), g->requests, g->replays, g->looks, g->limited,
                     open);
    if (order != NULL)
        (void)buf_printf(&g->out, ",\"order_requests\":%u", store_asked(g->store, order));
    (void)buf_char(&g->out, '}');
    gateway_respond(g, request, 200, &g->out, NULL);
}

static void set(struct gateway *g, struct http_request *request, const char *body, size_t len)
{
    char text[PROBLEM_SIZE];
    struct buf problem = {.data = text, .cap = sizeof text, .max = sizeof text - 1};
    text[0] = '\0';
    if (faults_read(&g->faults, body, len, &problem) == 0) {
        log_info("control changed", LOG_STR("to", body));
        control_show(g, request);
        return;
    }
    const struct answer_error error = {.status = 400,
                                       .type = "invalid_request_error",
                                       .message = problem.failed ? "a member is no control" : text};
    gateway_refuse(g, request, &error, NULL, false);
}

static bool asks_to_hurry(const json_t *root)
{
    return json_object_size(root) == 1 && json_is_true(json_object_get(root, "hurry"));
}

void control_set(struct gateway *g, struct http_request *request)
{
    size_t len;
    const char *body = http_request_body(request, &len);
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    if (asks_to_hurry(root)) {
        payment_hurry(g);
        control_show(g, request);
    } else if (!dashboard_act(g, request, root))
        set(g, request, body, len);
    json_decref(root);
}
