#include "common/net/http/curl.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/version.h"
#include "common/net/http/curl_request.h"
#include "common/net/http/curl_sockets.h"

#define URL_MAX ((size_t)8192)
#define READ_SIZE 4096L    /* bytes libcurl reads at once */
#define CALLS_KEPT 256     /* idle calls kept for later ones, at most */
#define RETRY_AFTER_MAX 60 /* seconds; a call that waits may hold something */

TAILQ_HEAD(call_list, curl_call);

/* One call, with the libcurl handle that serves one call after the other. */
struct curl_call {
    struct curl_client *client;
    TAILQ_ENTRY(curl_call) link; /* in `idle` or `busy` */
    CURL *easy;
    curl_done_cb done;
    void *arg;
    struct buf url;      /* as set in `easy` */
    uint32_t timeout_ms; /* as set in `easy`; 0: not yet */
    bool post;           /* as set in `easy`; false: GET */
    struct curl_texts request;
    struct curl_slist headers[CURL_HEADERS_MAX]; /* its lines */
    struct buf answer;
    char problem[CURL_ERROR_SIZE];
};

struct curl_client {
    CURLM *multi;
    struct loop_timer *timer;
    struct call_list idle;
    struct call_list busy;
    size_t idle_count;
    char *ca_file; /* NULL: the system's */
    uint32_t connect_timeout_ms;
    struct curl_sockets sockets;
    bool reporting; /* calling back */
    bool doomed;    /* freed meanwhile */
};

static void report_done(struct curl_client *client);

/* ---- sockets and timers, as libcurl asks for them ---- */

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    int fd = curl_sockets_open(arg, address->family, address->socktype, address->protocol);
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int close_socket(void *arg, curl_socket_t fd)
{
    return curl_sockets_close(arg, fd);
}

static void on_socket(int fd, int events, void *arg)
{
    struct curl_client *client = arg;
    int running;
    int bits = ((events & LOOP_READ) != 0 ? CURL_CSELECT_IN : 0) |
               ((events & LOOP_WRITE) != 0 ? CURL_CSELECT_OUT : 0);
    (void)curl_multi_socket_action(client->multi, fd, bits, &running);
    report_done(client);
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
    (void)easy;
    (void)unused;
    struct curl_client *client = arg;
    int events = ((what & CURL_POLL_IN) != 0 ? LOOP_READ : 0) |
                 ((what & CURL_POLL_OUT) != 0 ? LOOP_WRITE : 0);
    if (what == CURL_POLL_REMOVE)
        curl_sockets_release(&client->sockets, fd);
    else if (curl_sockets_wait(&client->sockets, fd, events) < 0)
        log_error("no memory to wait for a gateway's connection"); /* the call will time out */
    return 0;
}

static void on_timer(void *arg)
{
    struct curl_client *client = arg;
    int running;
    (void)curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    report_done(client);
}

static int want_timer(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi;
    const struct curl_client *client = arg;
    if (timeout_ms < 0)
        loop_timer_stop(client->timer);
    else
        loop_timer_start(client->timer, (uint64_t)timeout_ms, 0);
    return 0;
}

/* ---- calls ---- */

static size_t receive(char *data, size_t size, size_t count, void *arg)
{
    struct curl_call *call = arg;
    size_t len = size * count;
    return buf_append(&call->answer, data, len) == 0 ? len : 0; /* 0 ends the transfer */
}

#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (code == CURLE_OK)                                                                      \
            code = curl_easy_setopt(easy, (option), (value));                                      \
    } while (0)

/* What is the same for all calls. */
static CURLcode prepare_easy(struct curl_call *call)
{
    CURL *easy = call->easy;
    struct curl_client *client = call->client;
    CURLcode code = CURLE_OK;
    SET(CURLOPT_PRIVATE, call);
    SET(CURLOPT_ERRORBUFFER, call->problem);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, ""); /* none, whatever the environment says */
    SET(CURLOPT_USERAGENT, "checkout/" CHECKOUT_VERSION);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)client->connect_timeout_ms);
    SET(CURLOPT_ACCEPT_ENCODING,
        ""); /* whatever the library can read; response_max bounds it read */
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_BUFFERSIZE, READ_SIZE);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    if (client->ca_file != NULL)
        SET(CURLOPT_CAINFO, client->ca_file);
    /* with a folder of them, too, libcurl would read all certificates anew for each connection */
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, &client->sockets);
    SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    SET(CURLOPT_CLOSESOCKETDATA, &client->sockets);
    SET(CURLOPT_WRITEFUNCTION, receive);
    SET(CURLOPT_WRITEDATA, call);
    return code;
}

static void free_call(struct curl_call *call)
{
    curl_easy_cleanup(call->easy);
    buf_free(&call->url);
    curl_texts_free(&call->request);
    buf_free(&call->answer);
    free(call);
}

static struct curl_call *new_call(struct curl_client *client)
{
    struct curl_call *call = calloc(1, sizeof *call);
    if (call == NULL)
        return NULL;
    call->client = client;
    buf_init(&call->url, URL_MAX);
    curl_texts_init(&call->request);
    call->easy = curl_easy_init();
    if (call->easy == NULL || prepare_easy(call) != CURLE_OK) {
        free_call(call);
        return NULL;
    }
    return call;
}

static struct curl_call *take_call(struct curl_client *client)
{
    struct curl_call *call = TAILQ_FIRST(&client->idle);
    if (call == NULL)
        return new_call(client);
    TAILQ_REMOVE(&client->idle, call, link);
    client->idle_count--;
    return call;
}

/* The call, in no list, is over. The one used last is used next: its memory is warm. */
static void give_back(struct curl_call *call)
{
    struct curl_client *client = call->client;
    if (client->idle_count >= CALLS_KEPT) {
        free_call(call);
        return;
    }
    curl_texts_shrink(&call->request.all);
    curl_texts_shrink(&call->answer);
    TAILQ_INSERT_HEAD(&client->idle, call, link);
    client->idle_count++;
}

static CURLcode set_method(struct curl_call *call, bool post)
{
    if (call->post == post)
        return CURLE_OK;
    call->post = post;
    return curl_easy_setopt(call->easy, post ? CURLOPT_POST : CURLOPT_HTTPGET, 1L);
}

static int set_url(struct curl_call *call, const char *url)
{
    if (strcmp(buf_text(&call->url), url) == 0)
        return 0;
    buf_reset(&call->url);
    int code = buf_str(&call->url, url);
    if (code < 0 || curl_easy_setopt(call->easy, CURLOPT_URL, url) != CURLE_OK) {
        buf_reset(&call->url); /* so that the next call sets it anew */
        return code < 0 ? code : ERR_NOMEM;
    }
    return 0;
}

/* Copies the texts; links the lines as libcurl's list, which it reads only. */
static int set_texts(struct curl_call *call, const struct curl_request *request)
{
    struct curl_texts *texts = &call->request;
    int code = curl_texts_copy(texts, request->headers, request->body, request->body_len);
    if (code < 0)
        return code;
    for (size_t i = texts->line_count; i-- > 0;)
        call->headers[i] = (struct curl_slist){
            curl_texts_line(texts, i), i + 1 < texts->line_count ? &call->headers[i + 1] : NULL};
    (void)curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER,
                           texts->line_count == 0 ? NULL : call->headers);
    return 0;
}

static int set_request(struct curl_call *call, const struct curl_request *request)
{
    bool post = strcmp(request->method, "POST") == 0;
    if (!post && strcmp(request->method, "GET") != 0)
        return ERR_INVALID;
    int code = set_texts(call, request);
    if (code == 0)
        code = set_url(call, request->url);
    if (code < 0)
        return code;
    CURL *easy = call->easy;
    CURLcode result = set_method(call, post);
    if (post && result == CURLE_OK)
        result = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)request->body_len);
    if (post && result == CURLE_OK)
        result = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, curl_texts_body(&call->request));
    if (call->timeout_ms != request->timeout_ms && result == CURLE_OK)
        result = curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    if (result != CURLE_OK)
        return ERR_NOMEM;
    call->timeout_ms = request->timeout_ms;
    buf_reset(&call->answer);
    call->answer.max = request->response_max;
    call->problem[0] = '\0';
    return 0;
}

int curl_call_start(struct curl_client *client, const struct curl_request *request,
                    curl_done_cb done, void *arg, struct curl_call **ret_call)
{
    struct curl_call *call = take_call(client);
    if (call == NULL)
        return ERR_NOMEM;
    int code = set_request(call, request);
    if (code == 0 && curl_multi_add_handle(client->multi, call->easy) != CURLM_OK)
        code = ERR_NOMEM;
    if (code < 0) {
        give_back(call);
        return code;
    }
    call->done = done;
    call->arg = arg;
    TAILQ_INSERT_TAIL(&client->busy, call, link);
    if (ret_call != NULL)
        *ret_call = call;
    return 0;
}

static void leave(struct curl_call *call)
{
    (void)curl_multi_remove_handle(call->client->multi, call->easy);
    TAILQ_REMOVE(&call->client->busy, call, link);
}

void curl_call_cancel(struct curl_call *call)
{
    leave(call);
    give_back(call);
}

/* ---- answers ---- */

static int error_of(CURLcode result, const struct curl_call *call)
{
    switch ((int)result) {
    case CURLE_OK:
        return 0;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_WRITE_ERROR:
        return call->answer.failed ? ERR_FULL : ERR_CLOSED;
    case CURLE_URL_MALFORMAT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_OUT_OF_MEMORY:
        return ERR_UNAVAILABLE;
    default: /* cut, reset, or no HTTP */
        return ERR_CLOSED;
    }
}

/* Of a certificate that is not trusted; X509_V_ERR_* of OpenSSL, where the host is not the matter.
 */
static const char *certificate_reason(CURL *easy)
{
    long verified = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &verified);
    switch (verified) {
    case X509_V_OK:
    case X509_V_ERR_UNSPECIFIED: /* so libcurl leaves it when it refuses the host itself */
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "certificate_of_another_host";
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "certificate_expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "certificate_not_yet_valid";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return "certificate_self_signed";
    default:
        return "certificate_not_trusted";
    }
}

/* For people: why no answer came. */
static const char *reason_of(CURLcode result, const struct curl_response *response, CURL *easy)
{
    long system_error = 0;
    switch ((int)result) {
    case CURLE_OPERATION_TIMEDOUT:
        return response->connected ? "timeout" : "connect_timeout";
    case CURLE_PEER_FAILED_VERIFICATION:
        return certificate_reason(easy);
    case CURLE_SSL_CONNECT_ERROR:
        return "no_tls";
    case CURLE_SSL_CACERT_BADFILE:
        return "ca_file_unreadable";
    case CURLE_COULDNT_RESOLVE_HOST:
        return "host_unknown";
    case CURLE_COULDNT_CONNECT:
        (void)curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &system_error);
        return system_error == ECONNREFUSED ? "connection_refused" : "not_connected";
    default:
        if (response->code == ERR_FULL)
            return "answer_too_long";
        return response->connected ? "connection_lost" : "not_connected";
    }
}

/* By the server's clock; 0: it does not say it. */
static int64_t date_of(CURL *easy)
{
    struct curl_header *header;
    if (curl_easy_header(easy, "Date", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return 0;
    time_t date = curl_getdate(header->value, NULL);
    return date < 0 ? 0 : (int64_t)date;
}

static bool is_replayed(CURL *easy)
{
    struct curl_header *header;
    return curl_easy_header(easy, "Idempotent-Replayed", 0, CURLH_HEADER, -1, &header) ==
               CURLHE_OK &&
           strcasecmp(header->value, "true") == 0;
}

static void read_info(struct curl_call *call, CURLcode result, struct curl_response *response)
{
    long status = 0;
    long sent = 0;
    curl_off_t retry_after = 0;
    (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    response->code = error_of(result, call);
    if (response->code != 0) {
        (void)curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &sent);
        response->problem = call->problem[0] != '\0' ? call->problem : curl_easy_strerror(result);
        response->connected = sent > 0;
        response->reason = reason_of(result, response, call->easy);
        return;
    }
    response->connected = true;
    response->status = (unsigned)status;
    response->body = buf_text(&call->answer);
    response->body_len = call->answer.len;
    response->date_s = date_of(call->easy);
    if (status >= 300) {
        response->replayed = is_replayed(call->easy);
        (void)curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &retry_after);
        if (retry_after > 0) /* negative: a date in the past */
            response->retry_after_s =
                retry_after > RETRY_AFTER_MAX ? RETRY_AFTER_MAX : (uint32_t)retry_after;
    }
}

static void destroy(struct curl_client *client)
{
    struct curl_call *next;
    for (struct curl_call *call = TAILQ_FIRST(&client->busy); call != NULL; call = next) {
        next = TAILQ_NEXT(call, link);
        (void)curl_multi_remove_handle(client->multi, call->easy);
        free_call(call);
    }
    for (struct curl_call *call = TAILQ_FIRST(&client->idle); call != NULL; call = next) {
        next = TAILQ_NEXT(call, link);
        free_call(call);
    }
    (void)curl_multi_cleanup(client->multi); /* closes the connections: close_socket */
    curl_sockets_free(&client->sockets);
    loop_timer_free(client->timer);
    free(client->ca_file);
    free(client);
    curl_global_cleanup();
}

/* Calls back for every call that has ended; a callback may start, cancel, and free the client. */
static void report_done(struct curl_client *client)
{
    if (client->reporting)
        return;
    client->reporting = true;
    int left;
    for (CURLMsg *message;
         !client->doomed && (message = curl_multi_info_read(client->multi, &left)) != NULL;) {
        struct curl_call *call = NULL;
        CURLcode result = message->data.result;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        struct curl_response response = {0};
        read_info(call, result, &response);
        leave(call);
        call->done(&response, call->arg);
        give_back(call);
    }
    client->reporting = false;
    if (client->doomed)
        destroy(client);
}

/* ---- the client ---- */

struct curl_client *curl_client_new(struct loop *loop, const struct curl_options *options)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return NULL;
    struct curl_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        curl_global_cleanup();
        return NULL;
    }
    curl_sockets_init(&client->sockets, loop, on_socket, client);
    client->connect_timeout_ms = options->connect_timeout_ms;
    TAILQ_INIT(&client->idle);
    TAILQ_INIT(&client->busy);
    bool own_ca = options->ca_file != NULL && options->ca_file[0] != '\0';
    client->ca_file = own_ca ? strdup(options->ca_file) : NULL;
    client->multi = curl_multi_init();
    client->timer = loop_timer_new(loop, on_timer, client);
    if (client->multi == NULL || client->timer == NULL || (own_ca && client->ca_file == NULL)) {
        destroy(client);
        return NULL;
    }
    CURLM *multi = client->multi;
    long most = (long)options->connections_max;
    (void)curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    (void)curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client);
    (void)curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, want_timer);
    (void)curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client);
    (void)curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    (void)curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, most);
    (void)curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, most); /* idle ones are kept */
    return client;
}

void curl_client_free(struct curl_client *client)
{
    if (client == NULL)
        return;
    if (client->reporting)
        client->doomed = true;
    else
        destroy(client);
}
