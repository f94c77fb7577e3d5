/*
 * TLS towards our own servers (OpenSSL): who they are is always checked, by a trusted certificate
 * for the name or address in the URL. The files are read again for each connection, so that a
 * renewed certificate needs no restart.
 */
#ifndef COMMON_NET_TLS_H
#define COMMON_NET_TLS_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"

/* Paths of PEM files; NULL or "": absent. */
struct tls_files {
    const char *ca;          /* certificates to trust; absent: the system's */
    const char *certificate; /* our own, where the server wants one, with those that it needs */
    const char *key;         /* absent: it is in the file of the certificate */
};

/*
 * Prepares a context for connections to `host` (name or address): TLS 1.2 or later, certificate and
 * host checked, our own certificate shown, the name sent (SNI, none for an address). 0, or
 * ERR_UNAVAILABLE with a text in `ret_reason` that names the file.
 */
MUST_CHECK int tls_prepare(SSL_CTX *context, const struct tls_files *files, const char *host,
                           char *ret_reason, size_t reason_size);
/* Why a handshake of this context, or the first read behind it, has just failed in this thread:
 * the certificate, what the other side says, or that it speaks no TLS. */
void tls_explain(const SSL_CTX *context, char *ret_reason, size_t reason_size);

/* What one record holds at most (RFC 8446, 5.1). */
#define TLS_RECORD_MAX 16384

/* The end of the text about a connection that ended before it said anything: with TLS 1.3 a server
 * refuses a certificate, or that there is none, only behind the handshake, and its reason may be
 * lost with the connection. "" where we have shown a certificate. */
const char *tls_hint(const struct tls_files *files);

/* One connection on a socket that is connected and non-blocking. */
struct tls;

/* The handshake, within `timeout_ms`. Blocks. NULL with the reason; the socket stays the caller's
 * either way. */
MUST_CHECK struct tls *tls_connect(int fd, const char *host, const struct tls_files *files,
                                   int timeout_ms, char *ret_reason, size_t reason_size);
/* Does not close the socket. NULL is allowed. */
void tls_free(struct tls *tls);

/* Reads or writes at most `size` bytes: how many; 0: not now; ERR_CLOSED (by the other side) or
 * ERR_IO, with the text in tls_problem. Read with room for TLS_RECORD_MAX bytes: then whatever is
 * left is still in the socket. A write that came back 0 is repeated with the same bytes; more may
 * follow them. */
MUST_CHECK int tls_read(struct tls *tls, void *ret_data, size_t size);
MUST_CHECK int tls_write(struct tls *tls, const void *data, size_t size);
const char *tls_problem(const struct tls *tls);

#endif
