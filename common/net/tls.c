#include "common/net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"

#define PROBLEM_SIZE 160

struct tls {
    SSL_CTX *context;
    SSL *ssl;
    const char *hint; /* "" once the server has said anything */
    char problem[PROBLEM_SIZE];
};

static bool given(const char *path)
{
    return path != NULL && path[0] != '\0';
}

/* ---- the context ---- */

/* Remembers why a certificate is refused: the library of a caller may keep only that it was. */
static int certificate_checked(int ok, X509_STORE_CTX *store)
{
    if (ok == 0) {
        const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
        SSL_CTX_set_app_data(SSL_get_SSL_CTX(ssl),
                             (void *)(intptr_t)X509_STORE_CTX_get_error(store));
    }
    return ok;
}

/* Sends the name that is checked (RFC 6066, 3: never an address), whatever a library has set: it
 * may have connected to an address that we have looked up. */
static void handshake_begins(const SSL *ssl, int where, int unused)
{
    (void)unused;
    if ((where & SSL_CB_HANDSHAKE_START) == 0 || SSL_in_before(ssl) == 0)
        return;
    SSL *own = (SSL *)(uintptr_t)ssl; /* const only in the type of the callback */
    (void)SSL_set_tlsext_host_name(own, X509_VERIFY_PARAM_get0_host(SSL_get0_param(own), 0));
}

static bool is_address(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static bool set_host(SSL_CTX *context, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (is_address(host))
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1;
}

static const char *newest_error(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text == NULL ? "unknown error" : text;
}

static int file_problem(const char *what, const char *path, char *ret_reason, size_t reason_size)
{
    (void)snprintf(ret_reason, reason_size, "cannot use %s %s: %s", what, path, newest_error());
    return ERR_UNAVAILABLE;
}

static int use_files(SSL_CTX *context, const struct tls_files *files, char *ret_reason,
                     size_t reason_size)
{
    bool trusts = given(files->ca) ? SSL_CTX_load_verify_locations(context, files->ca, NULL) == 1
                                   : SSL_CTX_set_default_verify_paths(context) == 1;
    if (!trusts)
        return file_problem("the CA certificates", given(files->ca) ? files->ca : "of the system",
                            ret_reason, reason_size);
    if (!given(files->certificate))
        return 0;
    if (SSL_CTX_use_certificate_chain_file(context, files->certificate) != 1)
        return file_problem("the certificate", files->certificate, ret_reason, reason_size);
    const char *key = given(files->key) ? files->key : files->certificate;
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        return file_problem("the key", key, ret_reason, reason_size);
    return 0;
}

int tls_prepare(SSL_CTX *context, const struct tls_files *files, const char *host, char *ret_reason,
                size_t reason_size)
{
    ERR_clear_error();
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, certificate_checked);
    SSL_CTX_set_info_callback(context, handshake_begins);
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 || !set_host(context, host)) {
        (void)snprintf(ret_reason, reason_size, "cannot prepare TLS: %s", newest_error());
        return ERR_UNAVAILABLE;
    }
    return use_files(context, files, ret_reason, reason_size);
}

void tls_explain(const SSL_CTX *context, char *ret_reason, size_t reason_size)
{
    long refused = (long)(intptr_t)SSL_CTX_get_app_data(context);
    unsigned long error = ERR_peek_last_error();
    if (refused != X509_V_OK)
        (void)snprintf(ret_reason, reason_size, "its certificate is refused: %s",
                       X509_verify_cert_error_string(refused));
    else if (error == 0)
        (void)snprintf(ret_reason, reason_size, "no TLS handshake: it ends the connection");
    else if (ERR_GET_REASON(error) == SSL_R_WRONG_VERSION_NUMBER)
        (void)snprintf(ret_reason, reason_size, "it speaks no TLS at this port");
    else
        (void)snprintf(ret_reason, reason_size, "no TLS handshake: %s", newest_error());
}

const char *tls_hint(const struct tls_files *files)
{
    return given(files->certificate) ? "" : " (does it want a certificate of ours?)";
}

/* ---- one connection ---- */

/* Waits until the handshake can go on; false: out of time. */
static bool await_socket(int fd, short events, uint64_t end_ms)
{
    for (;;) {
        uint64_t now = clock_mono_ms();
        struct pollfd waiting = {.fd = fd, .events = events};
        int n = poll(&waiting, 1, now >= end_ms ? 0 : (int)(end_ms - now));
        if (n >= 0 || errno != EINTR)
            return n > 0;
    }
}

/* False with the reason. */
static bool shake_hands(struct tls *tls, int fd, uint64_t end_ms)
{
    for (;;) {
        ERR_clear_error();
        int code = SSL_connect(tls->ssl);
        if (code == 1)
            return true;
        int error = SSL_get_error(tls->ssl, code);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
            tls_explain(tls->context, tls->problem, sizeof tls->problem);
            return false;
        }
        if (!await_socket(fd, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, end_ms)) {
            (void)snprintf(tls->problem, sizeof tls->problem, "no TLS handshake in time");
            return false;
        }
    }
}

struct tls *tls_connect(int fd, const char *host, const struct tls_files *files, int timeout_ms,
                        char *ret_reason, size_t reason_size)
{
    uint64_t end_ms = clock_mono_ms() + (uint64_t)timeout_ms;
    struct tls *tls = calloc(1, sizeof *tls);
    (void)snprintf(ret_reason, reason_size, "out of memory");
    if (tls != NULL)
        tls->context = SSL_CTX_new(TLS_client_method());
    if (tls == NULL || tls->context == NULL) {
        tls_free(tls);
        return NULL;
    }
    tls->hint = tls_hint(files);
    SSL_CTX_set_mode(tls->context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (tls_prepare(tls->context, files, host, ret_reason, reason_size) != 0) {
        tls_free(tls);
        return NULL;
    }
    tls->ssl = SSL_new(tls->context);
    if (tls->ssl == NULL || SSL_set_fd(tls->ssl, fd) != 1) {
        tls_free(tls);
        return NULL;
    }
    if (!shake_hands(tls, fd, end_ms)) {
        (void)snprintf(ret_reason, reason_size, "%s", tls->problem);
        tls_free(tls);
        return NULL;
    }
    return tls;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL)
        return;
    SSL_free(tls->ssl);
    SSL_CTX_free(tls->context);
    free(tls);
}

/* What `code` of a read or write means, as of tls_read. A renegotiation, for which a read would
 * have to write, is not in TLS 1.3, and OpenSSL refuses it in 1.2. */
static int ended(struct tls *tls, int code)
{
    int system_error = errno;
    switch (SSL_get_error(tls->ssl, code)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        (void)snprintf(tls->problem, sizeof tls->problem, "Server closed the connection%s",
                       tls->hint);
        return ERR_CLOSED;
    case SSL_ERROR_SYSCALL:
        (void)snprintf(tls->problem, sizeof tls->problem, "%s%s", strerror(system_error),
                       tls->hint);
        return ERR_IO;
    default:
        (void)snprintf(tls->problem, sizeof tls->problem, "TLS: %s", newest_error());
        return ERR_IO;
    }
}

static int at_most(size_t size)
{
    return size > INT_MAX ? INT_MAX : (int)size;
}

int tls_read(struct tls *tls, void *ret_data, size_t size)
{
    ERR_clear_error();
    int n = SSL_read(tls->ssl, ret_data, at_most(size));
    if (n <= 0)
        return ended(tls, n);
    tls->hint = "";
    return n;
}

int tls_write(struct tls *tls, const void *data, size_t size)
{
    ERR_clear_error();
    int n = SSL_write(tls->ssl, data, at_most(size));
    return n > 0 ? n : ended(tls, n);
}

const char *tls_problem(const struct tls *tls)
{
    return tls->problem;
}
