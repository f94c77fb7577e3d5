#include "notifier/server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/http/http_bearer.h"
#include "common/shop/event.h"
#include "common/shop/problem_page.h"
#include "common/shop/problem_respond.h"
#include "notifier/handshake.h"
#include "notifier/places.h"
#include "notifier/session.h"

#define STAY_DEFAULT_S 3600
#define STAY_MAX_S 86400
#define IDLE_TIMEOUT_S 10
#define HANDSHAKES_MAX 1024 /* connections that are no websockets yet, or never will be */
#define DRAIN_MS 5000       /* for the last sockets to be closed by their peers, too */
#define GOODBYE_EACH_MS 50  /* some sockets are closed so often, … */
#define GOODBYE_TURNS 80    /* … all in so many turns, … */
#define GOODBYE_LEAST 50    /* … but at least so many in each */
#define RETRY_AFTER_S 5

struct server {
    struct server_options options;
    struct ws_options socket_options;
    struct http_server *http;
    struct loop_timer *deadline; /* of draining */
    struct loop_timer *goodbye;
    size_t goodbyes; /* of one turn */
    size_t to_part;  /* in this turn */
    bool draining;
    loop_cb drained;
    void *drained_arg;
};

/* What is known of a buyer between the handshake's answer and the raw socket. */
struct welcome {
    struct server *server;
    int64_t after_id;
    int64_t stay_s;
    char user[JWT_USER_SIZE];
};

/* ---- refusals ---- */

static const struct handshake_refusal leaving = {PROBLEM_OVERLOADED,
                                                 "This server is leaving: connect again."};
static const struct handshake_refusal crowded = {PROBLEM_OVERLOADED,
                                                 "No more websockets are taken at present."};
static const struct handshake_refusal too_many = {
    PROBLEM_RATE_LIMITED, "You have as many websockets open as a user may: close one."};

static void answer_problem(struct server *server, struct http_request *request,
                           const struct handshake_refusal *refusal)
{
    struct problem problem = {.type = refusal->type, .detail = refusal->detail};
    struct http_header headers[2];
    size_t count = 0;
    if (refusal->type == PROBLEM_UNAUTHORIZED) {
        headers[count++] = (struct http_header){"WWW-Authenticate", "Bearer"};
    } else if (refusal->type == PROBLEM_METHOD_NOT_ALLOWED) {
        headers[count++] = (struct http_header){"Allow", "GET"};
    } else if (refusal->type == PROBLEM_RATE_LIMITED || refusal->type == PROBLEM_OVERLOADED) {
        problem.retry_after_s = RETRY_AFTER_S;
    } else if (refusal->type == PROBLEM_UPGRADE_REQUIRED) {
        headers[count++] = (struct http_header){"Upgrade", "websocket"};
        headers[count++] = (struct http_header){"Sec-WebSocket-Version", "13"};
    }
    stats_refused(server->options.stats, problem_status(refusal->type));
    log_debug("handshake refused", LOG_STR("request_id", http_request_id(request)),
              LOG_STR("type", problem_name(refusal->type)));
    problem_respond(request, &problem, headers, count);
}

/* ---- who it is ---- */

/* By the header if there is one, else by the ticket of the query. */
static int authenticate(const struct server *server, struct http_request *request,
                        struct jwt_claims *ret_claims, const char **ret_problem)
{
    struct jwt *keys = server->options.tokens;
    const char *audience = JWT_AUD_API;
    const char *token = NULL;
    int code = http_request_bearer(request, &token, ret_problem);
    if (code == ERR_NOT_FOUND) {
        keys = server->options.tickets;
        audience = JWT_AUD_EVENTS;
        token = http_request_query(request, "ticket");
        *ret_problem = "A bearer token in Authorization, or a ticket in the query, is needed.";
        code = token == NULL || token[0] == '\0' ? ERR_AUTH : 0;
    }
    if (code < 0)
        return code;
    return jwt_verify(keys, token, strlen(token), audience, clock_wall_ms() / 1000, ret_claims,
                      ret_problem);
}

/* ---- the life of a session ---- */

static void report_numbers(const struct server *server)
{
    metric_set(server->options.stats->sockets, (double)registry_members(server->options.registry));
    metric_set(server->options.stats->users, (double)registry_users(server->options.registry));
}

/* Frees a session whose socket is closed. */
static void session_end(struct server *server, struct session *session)
{
    const struct server_options *o = &server->options;
    char user[REGISTRY_USER_MAX + 1];
    replay_forget(o->replay, session);
    places_forget(o->places, session);
    memcpy(user, registry_user_name(session->member.user), sizeof user);
    if (registry_leave(o->registry, &session->member))
        subscriptions_unlisten(o->subscriptions, user);
    loop_timer_free(session->stay);
    session_clear(session);
    free(session);
    report_numbers(server);
    if (server->draining && registry_members(o->registry) == 0)
        loop_timer_start(server->deadline, 0, 0);
}

static void socket_closed(const char *why, void *arg)
{
    struct session *session = arg;
    struct server *server = session->owner;
    stats_closed(server->options.stats, why);
    session->ws = NULL;
    session_end(server, session);
}

static void socket_drained(void *arg)
{
    struct session *session = arg;
    const struct server *server = session->owner;
    replay_drained(server->options.replay, session);
}

static void event_pushed(struct session *session, const struct envelope *envelope, void *arg)
{
    struct server *server = arg;
    places_pushed(server->options.places, session, envelope);
}

static const struct ws_listener listener = {.closed = socket_closed, .drained = socket_drained};

static void stay_over(void *arg)
{
    struct session *session = arg;
    ws_close(session->ws, WS_CLOSE_STAY_OVER, "stay is over: connect again", "stay");
}

static struct session *session_new(struct server *server, const struct welcome *welcome)
{
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return NULL;
    session->owner = server;
    session->member.owner = session;
    session->stats = server->options.stats;
    session->pushed = event_pushed;
    session->pushed_arg = server;
    buf_init(&session->held, SESSION_HELD_MAX);
    replay_welcome(session, welcome->after_id);
    session->stay = loop_timer_new(server->options.loop, stay_over, session);
    if (session->stay == NULL) {
        free(session);
        return NULL;
    }
    loop_timer_start(session->stay, (uint64_t)welcome->stay_s * 1000, 0);
    return session;
}

/* Checks the limits again: other sockets may have come since the handshake. */
static void join(struct server *server, struct session *session, const char *user)
{
    bool first = false;
    int code = registry_join(server->options.registry, user, &session->member, &first);
    if (code == 0)
        code = subscriptions_listen(server->options.subscriptions, session, first);
    report_numbers(server);
    if (code == 0)
        return;
    if (session->member.user != NULL) {
        ws_close(session->ws, WS_CLOSE_TRY_LATER, "no room: connect again", "full");
        return;
    }
    ws_free(session->ws);
    stats_closed(server->options.stats, "full");
    loop_timer_free(session->stay);
    session_clear(session);
    free(session);
}

static void begin_session(struct server *server, const struct welcome *welcome, int fd,
                          const char *extra, size_t extra_len)
{
    struct session *session = server->draining ? NULL : session_new(server, welcome);
    if (session == NULL) {
        (void)close(fd);
        return;
    }
    session->ws = ws_new(&server->socket_options, fd, extra, extra_len, session);
    if (session->ws != NULL) {
        join(server, session, welcome->user);
        return;
    }
    loop_timer_free(session->stay);
    free(session);
}

static void upgraded(int fd, const char *extra, size_t extra_len, void *arg)
{
    struct welcome *welcome = arg;
    if (fd >= 0)
        begin_session(welcome->server, welcome, fd, extra, extra_len);
    free(welcome);
}

/* ---- requests ---- */

static int64_t stay_of(const struct jwt_claims *claims)
{
    if (claims->stay_s <= 0)
        return STAY_DEFAULT_S;
    return claims->stay_s < STAY_MAX_S ? claims->stay_s : STAY_MAX_S;
}

static void accept_socket(struct server *server, struct http_request *request, const char *key,
                          int64_t after_id, const struct jwt_claims *claims)
{
    char accept[HANDSHAKE_ACCEPT_SIZE];
    struct welcome *welcome = calloc(1, sizeof *welcome);
    if (welcome == NULL || handshake_accept(key, accept) < 0) {
        free(welcome);
        answer_problem(server, request, &crowded);
        return;
    }
    welcome->server = server;
    welcome->after_id = after_id;
    welcome->stay_s = stay_of(claims);
    memcpy(welcome->user, claims->user, sizeof welcome->user);
    const struct http_header headers[] = {{"Upgrade", "websocket"},
                                          {"Sec-WebSocket-Accept", accept},
                                          {"Sec-WebSocket-Protocol", EVENT_SUBPROTOCOL}};
    http_upgrade(request, headers, ARRAY_LEN(headers), upgraded, welcome);
}

/* The headers that are lists. */
enum { LIST_UPGRADE, LIST_CONNECTION, LIST_PROTOCOLS, LISTS };

static int check_handshake(const struct server *server, struct http_request *request,
                           int64_t *ret_after_id, struct handshake_refusal *ret_refusal)
{
    struct buf lists[LISTS];
    for (size_t i = 0; i < LISTS; i++)
        buf_init(&lists[i], HEADER_LIST_MAX);
    const struct handshake handshake = {
        .method = http_request_method(request),
        .path = http_request_path(request),
        .upgrade = http_request_list(request, "Upgrade", &lists[LIST_UPGRADE]),
        .connection = http_request_list(request, "Connection", &lists[LIST_CONNECTION]),
        .version = http_request_header(request, "Sec-WebSocket-Version"),
        .key = http_request_header(request, "Sec-WebSocket-Key"),
        .protocols = http_request_list(request, "Sec-WebSocket-Protocol", &lists[LIST_PROTOCOLS]),
        .origin = http_request_header(request, "Origin"),
        .last_event_id = http_request_query(request, "last_event_id"),
    };
    int code = handshake_check(&handshake, server->options.origins, ret_after_id, ret_refusal);
    for (size_t i = 0; i < LISTS; i++)
        buf_free(&lists[i]);
    return code;
}

/* A refusal's type is the path of its page, here as at the API. */
static void answer_page(struct http_request *request, enum problem_type type)
{
    const struct http_header headers[] = {{"Cache-Control", PROBLEM_PAGE_CACHE_CONTROL},
                                          {"Content-Security-Policy", PROBLEM_PAGE_POLICY}};
    struct buf body;
    buf_init(&body, PROBLEM_PAGE_MAX);
    problem_page_encode(&body, type);
    http_respond(request, &(struct http_response){.status = 200,
                                                  .content_type = PROBLEM_PAGE_CONTENT_TYPE,
                                                  .body = buf_text(&body),
                                                  .body_len = body.len,
                                                  .headers = headers,
                                                  .header_count = ARRAY_LEN(headers)});
    buf_free(&body);
}

static void handle(struct http_request *request, void *arg)
{
    struct server *server = arg;
    enum problem_type page;
    struct handshake_refusal refusal;
    struct jwt_claims claims;
    int64_t after_id = -1;
    if (strcmp(http_request_method(request), "GET") == 0 &&
        problem_by_path(http_request_path(request), &page) == 0) {
        answer_page(request, page);
        return;
    }
    if (check_handshake(server, request, &after_id, &refusal) < 0) {
        answer_problem(server, request, &refusal);
        return;
    }
    refusal = (struct handshake_refusal){PROBLEM_UNAUTHORIZED, NULL};
    if (authenticate(server, request, &claims, &refusal.detail) < 0) {
        answer_problem(server, request, &refusal);
        return;
    }
    int room = registry_room(server->options.registry, claims.user);
    if (server->draining)
        answer_problem(server, request, &leaving);
    else if (room < 0)
        answer_problem(server, request, room == ERR_REFUSED ? &too_many : &crowded);
    else
        accept_socket(server, request, http_request_header(request, "Sec-WebSocket-Key"), after_id,
                      &claims);
}

/* ---- the whole ---- */

static void drain_over(void *arg)
{
    struct server *server = arg;
    server->drained(server->drained_arg);
}

static void say_goodbye(struct registry_member *member, void *arg)
{
    struct server *server = arg;
    struct session *session = member->owner;
    if (session->leaving || server->to_part == 0)
        return;
    server->to_part--;
    session->leaving = true;
    ws_close(session->ws, WS_CLOSE_RESTART, "restarting: connect again", "shutdown");
}

static void goodbyes_due(void *arg)
{
    struct server *server = arg;
    server->to_part = server->goodbyes;
    registry_each_all(server->options.registry, say_goodbye, server);
    if (server->to_part == 0) /* else all have heard it */
        return;
    loop_timer_stop(server->goodbye);
    loop_timer_start(server->deadline,
                     registry_members(server->options.registry) > 0 ? DRAIN_MS : 0, 0);
}

int server_open(const struct server_options *options, struct server **ret_serve)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return ERR_NOMEM;
    server->options = *options;
    server->socket_options = (struct ws_options){
        .loop = options->loop, .ping_ms = options->ping_ms, .listener = &listener};
    server->deadline = loop_timer_new(options->loop, drain_over, server);
    server->goodbye = loop_timer_new(options->loop, goodbyes_due, server);
    const struct http_options http = {.host = options->host,
                                      .port = options->port,
                                      .connections_max = HANDSHAKES_MAX,
                                      .upgraded_max = options->sockets_max,
                                      .idle_timeout_s = IDLE_TIMEOUT_S,
                                      .body_max = 0,
                                      .reuse_port = true,
                                      .refuse = problem_refuse};
    int code = server->deadline == NULL || server->goodbye == NULL
                   ? ERR_NOMEM
                   : http_server_open(options->loop, &http, handle, server, &server->http);
    if (code < 0) {
        loop_timer_free(server->deadline);
        loop_timer_free(server->goodbye);
        free(server);
        return code;
    }
    registry_limit(options->registry, http_server_upgraded_max(server->http));
    log_info("listening", LOG_STR("host", options->host),
             LOG_INT("port", http_server_port(server->http)));
    *ret_serve = server;
    return 0;
}

void server_drain(struct server *server, loop_cb done, void *arg)
{
    server->draining = true;
    server->drained = done;
    server->drained_arg = arg;
    http_server_drain(server->http);
    size_t share = registry_members(server->options.registry) / GOODBYE_TURNS + 1;
    server->goodbyes = share > GOODBYE_LEAST ? share : GOODBYE_LEAST;
    loop_timer_start(server->goodbye, 0, GOODBYE_EACH_MS);
}

static void cut(struct registry_member *member, void *arg)
{
    struct session *session = member->owner;
    ws_free(session->ws);
    session_end(arg, session);
}

void server_close(struct server *server)
{
    if (server == NULL)
        return;
    server->draining = true;
    registry_each_all(server->options.registry, cut, server);
    http_server_close(server->http);
    loop_timer_free(server->deadline);
    loop_timer_free(server->goodbye);
    free(server);
}
