#include "common/net/http/curl_transfer.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/version.h"
#include "common/net/http/curl_date.h"
#include "common/net/http/curl_reason.h"
#include "common/net/http/curl_request.h"
#include "common/net/http/curl_sockets.h"

#define URL_MAX ((size_t)8192)
#define READ_SIZE 4096L /* bytes libcurl reads at once */
#define RETRY_S 60      /* at most; a call that waits may hold something */

struct curl_transfers {
    CURLM *multi;
    struct loop_timer *timer;
    char *ca_file; /* NULL: the system's */
    uint32_t connect_timeout_ms;
    uint32_t retry_max_s;
    bool (*may_connect)(const struct sockaddr *address, void *arg);
    void *may_connect_arg;
    struct curl_sockets sockets;
    struct curl_date date; /* by the server's clock, as it said it last */
    curl_ended_cb ended;
    void *arg;
};

struct curl_transfer {
    struct curl_transfers *all;
    void *owner;
    CURL *easy;
    struct buf url;          /* as set in `easy` */
    uint32_t timeout_ms;     /* as set in `easy`; 0: not yet */
    enum curl_method method; /* as set in `easy` */
    struct curl_texts request;
    struct curl_slist headers[CURL_HEADERS_MAX]; /* its lines */
    struct buf answer;
    bool cut;             /* what is behind answer.max is not read */
    bool is_cut, refused; /* the latter: an address of its host */
    char problem[CURL_ERROR_SIZE];
};

/* ---- sockets and timers, as libcurl asks for them ---- */

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    struct curl_transfer *transfer = arg;
    struct curl_transfers *all = transfer->all;
    if (all->may_connect != NULL && !all->may_connect(&address->addr, all->may_connect_arg)) {
        transfer->refused = true;
        return CURL_SOCKET_BAD;
    }
    int fd =
        curl_sockets_open(&all->sockets, address->family, address->socktype, address->protocol);
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int close_socket(void *arg, curl_socket_t fd)
{
    return curl_sockets_close(arg, fd);
}

static void on_socket(int fd, int events, void *arg)
{
    struct curl_transfers *all = arg;
    int running;
    int bits = ((events & LOOP_READ) != 0 ? CURL_CSELECT_IN : 0) |
               ((events & LOOP_WRITE) != 0 ? CURL_CSELECT_OUT : 0);
    (void)curl_multi_socket_action(all->multi, fd, bits, &running);
    all->ended(all->arg);
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
    (void)easy;
    (void)unused;
    struct curl_transfers *all = arg;
    int events = ((what & CURL_POLL_IN) != 0 ? LOOP_READ : 0) |
                 ((what & CURL_POLL_OUT) != 0 ? LOOP_WRITE : 0);
    if (what == CURL_POLL_REMOVE)
        curl_sockets_release(&all->sockets, fd);
    else if (curl_sockets_wait(&all->sockets, fd, events) < 0)
        log_error("no memory to wait for a connection"); /* the call will time out */
    return 0;
}

static void on_timer(void *arg)
{
    struct curl_transfers *all = arg;
    int running;
    (void)curl_multi_socket_action(all->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    all->ended(all->arg);
}

static int want_timer(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi;
    const struct curl_transfers *all = arg;
    if (timeout_ms < 0)
        loop_timer_stop(all->timer);
    else
        loop_timer_start(all->timer, (uint64_t)timeout_ms, 0);
    return 0;
}

/* ---- one transfer ---- */

static size_t receive(char *data, size_t size, size_t count, void *arg)
{
    struct curl_transfer *transfer = arg;
    size_t len = size * count;
    if (transfer->cut && len > transfer->answer.max - transfer->answer.len) {
        len = transfer->answer.max - transfer->answer.len;
        transfer->is_cut = buf_append(&transfer->answer, data, len) == 0;
        return 0;
    }
    return buf_append(&transfer->answer, data, len) == 0 ? len : 0; /* 0 ends the transfer */
}

#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (code == CURLE_OK)                                                                      \
            code = curl_easy_setopt(easy, (option), (value));                                      \
    } while (0)

/* What is the same for all calls. */
static CURLcode prepare_easy(struct curl_transfer *transfer)
{
    CURL *easy = transfer->easy;
    const struct curl_transfers *all = transfer->all;
    CURLcode code = CURLE_OK;
    SET(CURLOPT_PRIVATE, transfer);
    SET(CURLOPT_ERRORBUFFER, transfer->problem);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* else the end of a call waits for its resolver */
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, ""); /* none, whatever the environment says */
    SET(CURLOPT_USERAGENT, "checkout/" CHECKOUT_VERSION);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)all->connect_timeout_ms);
    SET(CURLOPT_ACCEPT_ENCODING,
        ""); /* whatever the library can read; response_max bounds it read */
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_BUFFERSIZE, READ_SIZE);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    if (all->ca_file != NULL)
        SET(CURLOPT_CAINFO, all->ca_file);
    /* with a folder of them, too, libcurl would read all certificates anew for each connection */
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, transfer);
    SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    SET(CURLOPT_CLOSESOCKETDATA, &all->sockets);
    SET(CURLOPT_WRITEFUNCTION, receive);
    SET(CURLOPT_WRITEDATA, transfer);
    return code;
}

void curl_transfer_free(struct curl_transfer *transfer)
{
    if (transfer == NULL)
        return;
    curl_easy_cleanup(transfer->easy);
    buf_free(&transfer->url);
    curl_texts_free(&transfer->request);
    buf_free(&transfer->answer);
    free(transfer);
}

struct curl_transfer *curl_transfer_new(struct curl_transfers *all, void *owner)
{
    struct curl_transfer *transfer = calloc(1, sizeof *transfer);
    if (transfer == NULL)
        return NULL;
    transfer->all = all;
    transfer->owner = owner;
    buf_init(&transfer->url, URL_MAX);
    curl_texts_init(&transfer->request);
    transfer->easy = curl_easy_init();
    if (transfer->easy == NULL || prepare_easy(transfer) != CURLE_OK) {
        curl_transfer_free(transfer);
        return NULL;
    }
    return transfer;
}

static CURLcode set_method(struct curl_transfer *transfer, enum curl_method method, const char *as)
{
    if (transfer->method == method)
        return CURLE_OK;
    if (curl_easy_setopt(transfer->easy, CURLOPT_CUSTOMREQUEST, as) != CURLE_OK)
        return CURLE_OUT_OF_MEMORY;
    transfer->method = method;
    return curl_easy_setopt(transfer->easy,
                            method == CURL_METHOD_GET ? CURLOPT_HTTPGET : CURLOPT_POST, 1L);
}

static int set_url(struct curl_transfer *transfer, const char *url)
{
    if (strcmp(buf_text(&transfer->url), url) == 0)
        return 0;
    buf_reset(&transfer->url);
    int code = buf_str(&transfer->url, url);
    if (code < 0 || curl_easy_setopt(transfer->easy, CURLOPT_URL, url) != CURLE_OK) {
        buf_reset(&transfer->url); /* so that the next call sets it anew */
        return code < 0 ? code : ERR_NOMEM;
    }
    return 0;
}

/* Copies the texts; links the lines as libcurl's list, which it reads only. */
static int set_texts(struct curl_transfer *transfer, const struct curl_request *request)
{
    struct curl_texts *texts = &transfer->request;
    int code = curl_texts_copy(texts, request->headers, request->body, request->body_len);
    if (code < 0)
        return code;
    for (size_t i = texts->line_count; i-- > 0;)
        transfer->headers[i] =
            (struct curl_slist){curl_texts_line(texts, i),
                                i + 1 < texts->line_count ? &transfer->headers[i + 1] : NULL};
    (void)curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER,
                           texts->line_count == 0 ? NULL : transfer->headers);
    return 0;
}

static int set_request(struct curl_transfer *transfer, const struct curl_request *request)
{
    enum curl_method method = CURL_METHOD_GET;
    int code = curl_method_of(request->method, &method);
    if (code == 0)
        code = set_texts(transfer, request);
    if (code == 0)
        code = set_url(transfer, request->url);
    if (code < 0)
        return code;
    CURL *easy = transfer->easy;
    CURLcode result = set_method(transfer, method, request->method);
    if (result == CURLE_OK) /* no matter to a GET */
        result = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)request->body_len);
    if (method != CURL_METHOD_GET && result == CURLE_OK)
        result = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, curl_texts_body(&transfer->request));
    if (transfer->timeout_ms != request->timeout_ms && result == CURLE_OK)
        result = curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    if (result != CURLE_OK)
        return ERR_NOMEM;
    transfer->timeout_ms = request->timeout_ms;
    buf_reset(&transfer->answer);
    transfer->answer.max = request->response_max;
    transfer->cut = request->cut;
    transfer->is_cut = transfer->refused = false;
    transfer->problem[0] = '\0';
    return 0;
}

int curl_transfer_start(struct curl_transfer *transfer, const struct curl_request *request)
{
    int code = set_request(transfer, request);
    if (code == 0 && curl_multi_add_handle(transfer->all->multi, transfer->easy) != CURLM_OK)
        code = ERR_NOMEM;
    return code;
}

void curl_transfer_stop(struct curl_transfer *transfer)
{
    (void)curl_multi_remove_handle(transfer->all->multi, transfer->easy);
}

void curl_transfer_shrink(struct curl_transfer *transfer)
{
    curl_texts_shrink(&transfer->request.all);
    curl_texts_shrink(&transfer->answer);
}

/* ---- how it ended ---- */

static int error_of(CURLcode result, const struct curl_transfer *transfer)
{
    switch ((int)result) {
    case CURLE_OK:
        return 0;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_WRITE_ERROR:
        if (transfer->is_cut)
            return 0;
        return transfer->answer.failed ? ERR_FULL : ERR_CLOSED;
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

/* For people: why no answer came. */
static const char *reason_of(CURLcode result, const struct curl_response *response,
                             const struct curl_transfer *transfer)
{
    CURL *easy = transfer->easy;
    long system_error = 0;
    switch ((int)result) {
    case CURLE_OPERATION_TIMEDOUT:
        return response->connected ? "timeout" : "connect_timeout";
    case CURLE_PEER_FAILED_VERIFICATION:
        (void)curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &system_error);
        return curl_certificate_reason(system_error);
    case CURLE_SSL_CONNECT_ERROR:
        return "no_tls";
    case CURLE_SSL_CACERT_BADFILE:
        return "ca_file_unreadable";
    case CURLE_COULDNT_RESOLVE_HOST:
        return "host_unknown";
    case CURLE_COULDNT_CONNECT:
        if (transfer->refused)
            return "address_refused";
        (void)curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &system_error);
        return system_error == ECONNREFUSED ? "connection_refused" : "not_connected";
    default:
        if (response->code == ERR_FULL)
            return "answer_too_long";
        return response->connected ? "connection_lost" : "not_connected";
    }
}

static const char *header_of(CURL *easy, const char *name)
{
    struct curl_header *header;
    return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value
                                                                                   : NULL;
}

static bool is_replayed(CURL *easy)
{
    const char *value = header_of(easy, "Idempotent-Replayed");
    return value != NULL && strcasecmp(value, "true") == 0;
}

static void read_info(struct curl_transfer *transfer, CURLcode result,
                      struct curl_response *response)
{
    long status = 0;
    long sent = 0;
    curl_off_t retry_after = 0;
    uint32_t most_s = transfer->all->retry_max_s;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    response->code = error_of(result, transfer);
    if (response->code != 0) {
        (void)curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &sent);
        response->problem =
            transfer->problem[0] != '\0' ? transfer->problem : curl_easy_strerror(result);
        response->connected = sent > 0;
        response->reason = reason_of(result, response, transfer);
        return;
    }
    response->connected = true;
    response->status = (unsigned)status;
    response->body = buf_text(&transfer->answer);
    response->body_len = transfer->answer.len;
    response->date_s =
        curl_date_of(&transfer->all->date, header_of(transfer->easy, "Date"), curl_getdate);
    if (status >= 300) {
        response->replayed = is_replayed(transfer->easy);
        (void)curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after);
        if (retry_after > 0) /* negative: a date in the past */
            response->retry_after_s = retry_after > most_s ? most_s : (uint32_t)retry_after;
    }
}

void *curl_transfers_next(struct curl_transfers *all, struct curl_response *ret_response)
{
    int left;
    const CURLMsg *message = curl_multi_info_read(all->multi, &left);
    if (message == NULL)
        return NULL;
    struct curl_transfer *transfer = NULL;
    CURLcode result = message->data.result;
    (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    *ret_response = (struct curl_response){0};
    read_info(transfer, result, ret_response);
    return transfer->owner;
}

/* ---- all of them ---- */

struct curl_transfers *curl_transfers_new(struct loop *loop, const struct curl_options *options,
                                          curl_ended_cb ended, void *arg)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return NULL;
    struct curl_transfers *all = calloc(1, sizeof *all);
    if (all == NULL) {
        curl_global_cleanup();
        return NULL;
    }
    all->ended = ended;
    all->arg = arg;
    curl_sockets_init(&all->sockets, loop, on_socket, all);
    all->connect_timeout_ms = options->connect_timeout_ms;
    all->retry_max_s = options->retry_after_max_s == 0 ? RETRY_S : options->retry_after_max_s;
    all->may_connect = options->may_connect;
    all->may_connect_arg = options->may_connect_arg;
    bool own_ca = options->ca_file != NULL && options->ca_file[0] != '\0';
    all->ca_file = own_ca ? strdup(options->ca_file) : NULL;
    all->multi = curl_multi_init();
    all->timer = loop_timer_new(loop, on_timer, all);
    if (all->multi == NULL || all->timer == NULL || (own_ca && all->ca_file == NULL)) {
        curl_transfers_free(all);
        return NULL;
    }
    CURLM *multi = all->multi;
    long most = (long)options->connections_max;
    (void)curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    (void)curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, all);
    (void)curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, want_timer);
    (void)curl_multi_setopt(multi, CURLMOPT_TIMERDATA, all);
    (void)curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    (void)curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, most);
    (void)curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, most); /* idle ones are kept */
    return all;
}

void curl_transfers_free(struct curl_transfers *all)
{
    if (all == NULL)
        return;
    (void)curl_multi_cleanup(all->multi); /* closes the connections: close_socket */
    curl_sockets_free(&all->sockets);
    loop_timer_free(all->timer);
    free(all->ca_file);
    free(all);
    curl_global_cleanup();
}
