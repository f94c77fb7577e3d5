#include "common/net/smtp/smtp.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/email.h"
#include "common/base/err.h"
#include "common/net/url.h"

#define URL_SIZE (SMTP_URL_PART_SIZE + SMTP_NAME_MAX + 32)
#define CONNECT_MS 10000
#define MAIL_MAX ((size_t)1024 * 1024)
#define STATUS_LOGIN_FIRST 530 /* or TLS: RFC 4954 section 6, RFC 3207 section 4 */

/* How far a dialogue has come, by our commands, but for QUIT, which may follow any of them. */
enum stage { STAGE_HELLO, STAGE_SENDER, STAGE_RECIPIENT };

/* What the thread works on: its own copies. */
struct smtp_call {
    struct smtp_url server;
    bool tls;
    uint32_t timeout_ms;
    char *ca_file;
    char name[SMTP_NAME_MAX + 1];
    char from[EMAIL_MAX + 1];
    char to[EMAIL_MAX + 1];
    struct buf data;
    size_t read; /* of it, by libcurl */
    enum stage stage;
    bool quit; /* was sent */
    char detail[SMTP_DETAIL_SIZE];
    struct smtp_answer answer;
    smtp_done_cb done; /* NULL: forgotten */
    void *arg;
};

int smtp_open(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : ERR_NOMEM;
}

/* ---- in the thread ---- */

static size_t read_data(char *to, size_t size, size_t count, void *arg)
{
    struct smtp_call *call = arg;
    size_t left = call->data.len - call->read;
    size_t len = left < size * count ? left : size * count;
    memcpy(to, call->data.data + call->read, len);
    call->read += len;
    return len;
}

static size_t ignore(char *data, size_t size, size_t count, void *arg)
{
    (void)data;
    (void)arg;
    return size * count;
}

static bool begins(const char *text, size_t len, const char *with)
{
    return len >= strlen(with) && memcmp(text, with, strlen(with)) == 0;
}

/* Each line of the dialogue, both ways. Logins are among them. */
static int overhear(CURL *easy, curl_infotype type, char *line, size_t len, void *arg)
{
    struct smtp_call *call = arg;
    (void)easy;
    call->quit = call->quit || (type == CURLINFO_HEADER_OUT && begins(line, len, "QUIT"));
    if (type == CURLINFO_HEADER_IN && !call->quit)
        (void)smtp_reply_detail(line, len, call->detail);
    if (type != CURLINFO_HEADER_OUT || call->quit)
        return 0;
    call->detail[0] = '\0';
    if (begins(line, len, "MAIL "))
        call->stage = STAGE_SENDER;
    else if (begins(line, len, "RCPT "))
        call->stage = STAGE_RECIPIENT;
    return 0;
}

#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (code == CURLE_OK)                                                                      \
            code = curl_easy_setopt(easy, (option), (value));                                      \
    } while (0)

static CURLcode set_server(CURL *easy, const struct smtp_call *call)
{
    const struct smtp_url *server = &call->server;
    bool brackets = strchr(server->host, ':') != NULL;
    bool login = server->user[0] != '\0';
    char url[URL_SIZE];
    CURLcode code = CURLE_OK;
    (void)snprintf(url, sizeof url, "%s://%s%s%s:%u/%s", server->tls ? "smtps" : "smtp",
                   brackets ? "[" : "", server->host, brackets ? "]" : "", (unsigned)server->port,
                   call->name);
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    SET(CURLOPT_PROXY, ""); /* none, whatever the environment says */
    SET(CURLOPT_USE_SSL,
        call->tls || server->tls || login ? (long)CURLUSESSL_ALL : (long)CURLUSESSL_NONE);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    if (call->ca_file[0] != '\0')
        SET(CURLOPT_CAINFO, call->ca_file);
    SET(CURLOPT_CAPATH, NULL);
    if (login) {
        SET(CURLOPT_USERNAME, server->user);
        SET(CURLOPT_PASSWORD, server->password);
    }
    return code;
}

static CURLcode set_mail(CURL *easy, struct smtp_call *call, struct curl_slist *recipients)
{
    long connect_ms = call->timeout_ms < CONNECT_MS ? (long)call->timeout_ms : CONNECT_MS;
    CURLcode code = CURLE_OK;
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    SET(CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)(call->timeout_ms + 999) / 1000);
    /* A connection on which an answer is still to come must serve no other mail. */
    SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_READFUNCTION, read_data);
    SET(CURLOPT_READDATA, call);
    SET(CURLOPT_WRITEFUNCTION, ignore);
    SET(CURLOPT_VERBOSE, 1L); /* to `overhear` alone */
    SET(CURLOPT_DEBUGFUNCTION, overhear);
    SET(CURLOPT_DEBUGDATA, call);
    SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->data.len);
    SET(CURLOPT_MAIL_FROM, call->from);
    SET(CURLOPT_MAIL_RCPT, recipients);
    return code;
}

static const char *reason_of(CURLcode result)
{
    static const struct {
        CURLcode result;
        const char *reason;
    } reasons[] = {
        {CURLE_OK, ""},
        {CURLE_OPERATION_TIMEDOUT, "timeout"},
        {CURLE_COULDNT_RESOLVE_HOST, "host_unknown"},
        {CURLE_COULDNT_CONNECT, "not_connected"},
        {CURLE_PEER_FAILED_VERIFICATION, "certificate_not_trusted"},
        {CURLE_SSL_CACERT_BADFILE, "ca_file_unreadable"},
        {CURLE_SSL_CONNECT_ERROR, "no_tls"},
        {CURLE_USE_SSL_FAILED, "no_starttls"},
        {CURLE_LOGIN_DENIED, "login_refused"},
        {CURLE_OUT_OF_MEMORY, "out_of_memory"},
    };
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].result == result)
            return reasons[i].reason;
    return "connection_lost";
}

static const char *refusal_of(unsigned status, enum stage stage)
{
    if (status == STATUS_LOGIN_FIRST)
        return "login_or_tls_wanted";
    return stage == STAGE_SENDER && status >= 500 ? "sender_refused" : "refused";
}

static struct smtp_answer answer_of(CURLcode result, unsigned status, const struct smtp_call *call)
{
    struct smtp_answer answer = {
        .offered = call->stage == STAGE_RECIPIENT, .status = status, .reason = reason_of(result)};
    bool refused = status >= 400 && status < 600;
    memcpy(answer.detail, call->detail, sizeof answer.detail);
    if (result == CURLE_OK)
        answer.code = 0;
    else if (result == CURLE_LOGIN_DENIED || status == STATUS_LOGIN_FIRST)
        answer.code = ERR_AUTH;
    else if (!answer.offered)
        answer.code = ERR_UNAVAILABLE;
    else if (refused)
        answer.code = ERR_REFUSED;
    else
        answer.code = result == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_CLOSED;
    if (refused && result != CURLE_LOGIN_DENIED)
        answer.reason = refusal_of(status, call->stage);
    return answer;
}

static void work(void *arg)
{
    struct smtp_call *call = arg;
    CURL *easy = curl_easy_init();
    struct curl_slist recipients = {.data = call->to};
    long status = 0;
    CURLcode result = CURLE_OUT_OF_MEMORY;
    if (easy != NULL)
        result = set_server(easy, call);
    if (result == CURLE_OK)
        result = set_mail(easy, call, &recipients);
    if (result == CURLE_OK)
        result = curl_easy_perform(easy);
    if (easy != NULL)
        (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    call->answer = answer_of(result, (unsigned)status, call);
    curl_easy_cleanup(easy);
}

/* ---- in the loop ---- */

static void free_call(struct smtp_call *call)
{
    explicit_bzero(&call->server, sizeof call->server);
    buf_free(&call->data);
    free(call->ca_file);
    free(call);
}

static void ended(void *arg)
{
    struct smtp_call *call = arg;
    if (call->done != NULL)
        call->done(&call->answer, call->arg);
    free_call(call);
}

static bool name_fits(const char *name)
{
    return name[0] == '\0' ||
           (strlen(name) <= SMTP_NAME_MAX && url_host_valid(name) && strpbrk(name, ":%") == NULL);
}

int smtp_send(struct loop *loop, const struct smtp_mail *mail, smtp_done_cb done, void *arg,
              struct smtp_call **ret_call)
{
    if (!email_valid(mail->from, strlen(mail->from)) || !email_valid(mail->to, strlen(mail->to)) ||
        !name_fits(mail->name))
        return ERR_INVALID;
    struct smtp_call *call = calloc(1, sizeof *call);
    if (call == NULL)
        return ERR_NOMEM;
    call->server = *mail->server;
    call->tls = mail->tls;
    call->timeout_ms = mail->timeout_ms;
    call->done = done;
    call->arg = arg;
    call->ca_file = strdup(mail->ca_file);
    memcpy(call->name, mail->name, strlen(mail->name) + 1);
    memcpy(call->from, mail->from, strlen(mail->from) + 1);
    memcpy(call->to, mail->to, strlen(mail->to) + 1);
    buf_init(&call->data, MAIL_MAX);
    int code = buf_append(&call->data, mail->data, mail->len);
    if (code == 0 && call->ca_file == NULL)
        code = ERR_NOMEM;
    if (code == 0)
        code = loop_background(loop, work, ended, call);
    if (code < 0) {
        free_call(call);
        return code;
    }
    *ret_call = call;
    return 0;
}

void smtp_forget(struct smtp_call *call)
{
    call->done = NULL;
}
