#include "common/net/amqp/broker_rabbit_impl.h"

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#include <rabbitmq-c/ssl_socket.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#endif
#include <errno.h>
#include <openssl/err.h>
#include <openssl/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/net/tcp_connect.h"

/* librabbitmq keeps a page of this size for every channel that it has read from: with 1,024 shards
 * the usual 128 KiB would be too much. */
#define FRAME_MAX (32 * 1024)
#define HANDSHAKE_TIMEOUT_S 5
#define CLOSE_TIMEOUT_S 1

/* What went wrong in an answer of the library, as text. */
static void explain_reply(const amqp_rpc_reply_t *reply, char *ret_text, size_t size)
{
    amqp_bytes_t text = amqp_cstring_bytes("unexpected answer");
    if (reply->reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        text = amqp_cstring_bytes(amqp_error_string2(reply->library_error));
    else if (reply->reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
             reply->reply.id == AMQP_CONNECTION_CLOSE_METHOD)
        text = ((const amqp_connection_close_t *)reply->reply.decoded)->reply_text;
    rabbit_copy_text(ret_text, size, text.bytes, text.len);
}

static int log_in(struct wire *wire, const struct broker_host *host, const char *name,
                  uint32_t heartbeat_s, char reason[WIRE_REASON_SIZE])
{
    static const char *const names[] = {"consumer_cancel_notify", "connection.blocked",
                                        "publisher_confirms", "basic.nack"};
    amqp_table_entry_t offered[ARRAY_LEN(names)];
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        offered[i] =
            rabbit_entry(&(struct broker_argument){names[i], .number = 1, .boolean = true});
    amqp_table_t capabilities = {(int)ARRAY_LEN(offered), offered};
    amqp_table_entry_t properties[] = {
        {amqp_cstring_bytes("capabilities"),
         {.kind = AMQP_FIELD_KIND_TABLE, .value = {.table = capabilities}}},
        rabbit_entry(&(struct broker_argument){"connection_name", .text = name}),
    };
    amqp_table_t client = {(int)ARRAY_LEN(properties), properties};
    amqp_rpc_reply_t reply = amqp_login_with_properties(
        wire->connection, host->vhost, AMQP_DEFAULT_MAX_CHANNELS, FRAME_MAX, (int)heartbeat_s,
        &client, AMQP_SASL_METHOD_PLAIN, host->user, host->password);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return 0;
    explain_reply(&reply, reason, WIRE_SHORT_MAX + 1);
    return reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION ? ERR_AUTH : ERR_UNAVAILABLE;
}

static void read_version(struct wire *wire)
{
    const amqp_table_t *server = amqp_get_server_properties(wire->connection);
    for (int i = 0; i < server->num_entries; i++) {
        const amqp_table_entry_t *e = &server->entries[i];
        if (e->key.len == 7 && memcmp(e->key.bytes, "version", 7) == 0 &&
            e->value.kind == AMQP_FIELD_KIND_UTF8)
            rabbit_copy_text(wire->version, sizeof wire->version, e->value.value.bytes.bytes,
                             e->value.value.bytes.len);
    }
}

/* NULL: no memory. */
static struct wire *wire_new(void)
{
    struct wire *wire = calloc(1, sizeof *wire);
    if (wire == NULL)
        return NULL;
    const struct timeval handshake = {HANDSHAKE_TIMEOUT_S, 0};
    const struct timeval rpc = {CLOSE_TIMEOUT_S, 0};
    wire->fd = -1;
    wire->connection = amqp_new_connection();
    if (wire->connection != NULL &&
        amqp_set_handshake_timeout(wire->connection, &handshake) == AMQP_STATUS_OK &&
        amqp_set_rpc_timeout(wire->connection, &rpc) == AMQP_STATUS_OK)
        return wire;
    wire_free(wire);
    return NULL;
}

/* ---- TLS: the library connects, by the address that we have looked up ---- */

/* Why the library could not open its socket. It keeps no errno: the address is tried once more.
 * ERR_REFUSED: somebody answers there, and it is not our broker. */
static int explain_open(int status, const SSL_CTX *context, const char *address,
                        const struct broker_host *host, int timeout_ms, char *reason)
{
    int fd = -1;
    if (status == AMQP_STATUS_SSL_CONNECTION_FAILED || status == AMQP_STATUS_SSL_ERROR ||
        status == AMQP_STATUS_SSL_PEER_VERIFY_FAILED) {
        tls_explain(context, reason, WIRE_REASON_SIZE);
        return ERR_REFUSED;
    }
    if (tcp_connect(address, host->port, 0, timeout_ms, &fd, reason, WIRE_REASON_SIZE) == 0) {
        (void)close(fd);
        (void)snprintf(reason, WIRE_REASON_SIZE, "no TLS handshake in time");
    }
    return ERR_UNAVAILABLE;
}

static int open_tls(struct wire *wire, const struct broker_host *host, const char *address,
                    int timeout_ms, char *reason)
{
    amqp_socket_t *socket = amqp_ssl_socket_new(wire->connection);
    if (socket == NULL)
        return ERR_NOMEM;
    SSL_CTX *context = amqp_ssl_socket_get_context(socket);
    int code = tls_prepare(context, &host->files, host->host, reason, WIRE_REASON_SIZE);
    if (code != 0)
        return code;
    amqp_ssl_socket_set_verify_hostname(socket, 0); /* it would compare the address; we have set the
                                                       name, which OpenSSL checks */
    const struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000L};
    int status = amqp_socket_open_noblock(socket, address, host->port, &timeout);
    if (status == AMQP_STATUS_OK) {
        wire->fd = amqp_get_sockfd(wire->connection);
        return 0;
    }
    return explain_open(status, context, address, host, timeout_ms, reason);
}

/* With TLS 1.3 a server refuses our certificate only behind the handshake. */
static int log_in_tls(struct wire *wire, const struct broker_host *host, const char *name,
                      uint32_t heartbeat_s, char reason[WIRE_REASON_SIZE])
{
    ERR_clear_error();
    int code = log_in(wire, host, name, heartbeat_s, reason);
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    size_t len = strlen(reason);
    if (code == ERR_UNAVAILABLE)
        (void)snprintf(reason + len, WIRE_REASON_SIZE - len, "%s%s", text == NULL ? "" : ": ",
                       text == NULL ? tls_hint(&host->files) : text);
    return code;
}

int wire_login_tls(const char *address, int timeout_ms, const struct broker_host *host,
                   const char *name, uint32_t heartbeat_s, struct wire **ret_wire,
                   char ret_reason[WIRE_REASON_SIZE])
{
    (void)snprintf(ret_reason, WIRE_REASON_SIZE, "out of memory");
    struct wire *wire = wire_new();
    if (wire == NULL)
        return ERR_NOMEM;
    int code = open_tls(wire, host, address, timeout_ms, ret_reason);
    if (code == 0)
        code = log_in_tls(wire, host, name, heartbeat_s, ret_reason);
    if (code != 0) {
        wire_free(wire);
        return code;
    }
    read_version(wire);
    *ret_wire = wire;
    return 0;
}

/* ---- without TLS ---- */

int wire_login(int fd, const struct broker_host *host, const char *name, uint32_t heartbeat_s,
               struct wire **ret_wire, char ret_reason[WIRE_REASON_SIZE])
{
    (void)snprintf(ret_reason, WIRE_REASON_SIZE, "out of memory");
    struct wire *wire = wire_new();
    amqp_socket_t *socket = wire == NULL ? NULL : amqp_tcp_socket_new(wire->connection);
    if (socket == NULL) {
        (void)close(fd);
        wire_free(wire);
        return ERR_NOMEM;
    }
    amqp_tcp_socket_set_sockfd(socket, fd);
    wire->fd = fd;
    int code = log_in(wire, host, name, heartbeat_s, ret_reason);
    if (code != 0) {
        wire_free(wire);
        return code;
    }
    read_version(wire);
    *ret_wire = wire;
    return 0;
}

void wire_close(struct wire *wire)
{
    (void)amqp_connection_close(wire->connection, AMQP_REPLY_SUCCESS); /* its end is the same */
    wire_free(wire);
}

void wire_free(struct wire *wire)
{
    if (wire == NULL)
        return;
    (void)amqp_destroy_connection(wire->connection); /* takes NULL; closes the socket */
    free(wire);
}
