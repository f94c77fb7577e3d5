#include "common/service/admin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/http/http.h"
#include "common/shop/problem_respond.h"

#define CONNECTIONS_MAX 32
#define IDLE_TIMEOUT_S 60
#define BODY_MAX 1024
#define ANSWER_MAX ((size_t)1024 * 1024)

struct admin {
    struct http_server *server;
    const struct metrics *metrics;
    admin_ready_cb ready;
    void *arg;
};

static void answer(struct http_request *request, unsigned status, const char *content_type,
                   const struct buf *body)
{
    const struct http_header no_store = {"Cache-Control", "no-store"};
    http_respond(request, &(struct http_response){
                              .status = status,
                              .content_type = content_type,
                              .body = buf_text(body),
                              .body_len = body->len,
                              .headers = &no_store,
                              .header_count = 1,
                          });
}

static void answer_text(struct http_request *request, unsigned status, struct buf *body,
                        const char *text)
{
    (void)buf_str(body, text);
    answer(request, status, "text/plain; charset=utf-8", body);
}

static void answer_ready(struct admin *admin, struct http_request *request, struct buf *body)
{
    if (admin->ready(admin->arg, body)) {
        buf_reset(body);
        answer_text(request, 200, body, "ready\n");
    } else {
        answer_text(request, 503, body, "");
    }
}

static void answer_metrics(struct admin *admin, struct http_request *request, struct buf *body)
{
    if (metrics_render(admin->metrics, body) == 0) {
        answer(request, 200, "text/plain; version=0.0.4; charset=utf-8", body);
        return;
    }
    buf_reset(body);
    answer_text(request, 500, body, "the metrics do not fit\n");
}

static void handle(struct http_request *request, void *arg)
{
    struct admin *admin = arg;
    const char *method = http_request_method(request);
    const char *path = http_request_path(request);
    struct buf body;
    buf_init(&body, ANSWER_MAX);
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        answer_text(request, 405, &body, "only GET\n");
    else if (strcmp(path, "/livez") == 0)
        answer_text(request, 200, &body, "alive\n");
    else if (strcmp(path, "/readyz") == 0)
        answer_ready(admin, request, &body);
    else if (strcmp(path, "/metrics") == 0)
        answer_metrics(admin, request, &body);
    else
        answer_text(request, 404, &body, "there are /livez, /readyz and /metrics\n");
    buf_free(&body);
}

int admin_open(struct loop *loop, const char *host, uint16_t port, const struct metrics *metrics,
               admin_ready_cb ready, void *arg, struct admin **ret_admin)
{
    struct admin *admin = calloc(1, sizeof *admin);
    if (admin == NULL)
        return ERR_NOMEM;
    admin->metrics = metrics;
    admin->ready = ready;
    admin->arg = arg;
    const struct http_options options = {
        .host = host,
        .port = port,
        .connections_max = CONNECTIONS_MAX,
        .idle_timeout_s = IDLE_TIMEOUT_S,
        .body_max = BODY_MAX,
        .refuse = problem_refuse,
    };
    int code = http_server_open(loop, &options, handle, admin, &admin->server);
    if (code < 0) {
        int error = errno;
        free(admin);
        errno = error;
        return code;
    }
    log_info("admin address", LOG_STR("host", host),
             LOG_INT("port", http_server_port(admin->server)));
    *ret_admin = admin;
    return 0;
}

void admin_close(struct admin *admin)
{
    if (admin == NULL)
        return;
    http_server_close(admin->server);
    free(admin);
}
