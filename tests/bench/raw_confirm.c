/*
 * What a bare publisher reaches on this broker: one connection of librabbitmq, one persistent
 * message of 300 bytes per order, to 16 quorum queues, with at most WINDOW of them unconfirmed. One
 * line of JSON: how many were confirmed, in how many seconds.
 */
#if __has_include(<rabbitmq-c/amqp.h>) /* librabbitmq 0.12 and later warn at the bare names */
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_tcp_socket.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "common/net/amqp/broker_url.h"
#include "tests/bench/client.h"

#define QUEUES 16
#define BODY_SIZE 300

struct raw {
    amqp_connection_state_t connection;
    uint64_t published;
    uint64_t confirmed;
    uint64_t oldest; /* lowest tag that is not confirmed yet */
    bool *settled;   /* by tag */
};

static void must(amqp_rpc_reply_t reply, const char *what)
{
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        client_die("%s failed", what);
}

static void declare(struct raw *raw)
{
    amqp_table_entry_t entry = {
        amqp_cstring_bytes("x-queue-type"),
        {.kind = AMQP_FIELD_KIND_UTF8, .value = {.bytes = amqp_cstring_bytes("quorum")}}};
    amqp_table_t arguments = {1, &entry};
    for (int i = 0; i < QUEUES; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "checkout.bench.%d", i);
        (void)amqp_queue_declare(raw->connection, 1, amqp_cstring_bytes(name), 0, 1, 0, 0,
                                 arguments);
        must(amqp_get_rpc_reply(raw->connection), "declaring a quorum queue");
        (void)amqp_queue_purge(raw->connection, 1, amqp_cstring_bytes(name));
        must(amqp_get_rpc_reply(raw->connection), "purging a queue");
    }
}

static void connect_to(struct raw *raw, const char *urls)
{
    struct broker_hosts hosts;
    const char *problem = "out of memory";
    if (broker_url_parse(urls, &hosts, &problem) != 0)
        client_die("the broker's URL: %s", problem);
    raw->connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(raw->connection);
    if (socket == NULL || amqp_socket_open(socket, hosts.hosts[0].host, hosts.hosts[0].port) != 0)
        client_die("the broker at %s does not answer", hosts.hosts[0].host);
    must(amqp_login(raw->connection, hosts.hosts[0].vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN,
                    hosts.hosts[0].user, hosts.hosts[0].password),
         "logging in to the broker");
    broker_url_free(&hosts);
    (void)amqp_channel_open(raw->connection, 1);
    must(amqp_get_rpc_reply(raw->connection), "opening a channel");
    declare(raw);
    (void)amqp_confirm_select(raw->connection, 1);
    must(amqp_get_rpc_reply(raw->connection), "turning confirms on");
}

static void publish(struct raw *raw)
{
    static const char body[BODY_SIZE] = {'x'};
    char queue[32];
    (void)snprintf(queue, sizeof queue, "checkout.bench.%d", (int)(random() % QUEUES));
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                          .delivery_mode = AMQP_DELIVERY_PERSISTENT};
    amqp_bytes_t bytes = {sizeof body, (void *)(uintptr_t)body};
    if (amqp_basic_publish(raw->connection, 1, amqp_empty_bytes, amqp_cstring_bytes(queue), 0, 0,
                           &properties, bytes) != AMQP_STATUS_OK)
        client_die("publishing failed");
    raw->published++;
}

static void settle(struct raw *raw, const amqp_basic_ack_t *ack)
{
    for (uint64_t tag = ack->multiple ? raw->oldest : ack->delivery_tag; tag <= ack->delivery_tag;
         tag++)
        if (!raw->settled[tag]) {
            raw->settled[tag] = true;
            raw->confirmed++;
        }
    while (raw->oldest <= raw->published && raw->settled[raw->oldest])
        raw->oldest++;
}

/* Takes confirms: waits for one, then takes what else is here. */
static void take_confirms(struct raw *raw)
{
    const struct timeval patience = {30, 0};
    const struct timeval none = {0, 0};
    amqp_frame_t frame;
    int rc = amqp_simple_wait_frame_noblock(raw->connection, &frame, &patience);
    if (rc != AMQP_STATUS_OK)
        client_die("waiting for confirms: %s", amqp_error_string2(rc));
    for (; rc == AMQP_STATUS_OK;
         rc = amqp_simple_wait_frame_noblock(raw->connection, &frame, &none)) {
        if (frame.frame_type != AMQP_FRAME_METHOD ||
            frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
            client_die("the broker refused a message");
        settle(raw, frame.payload.method.decoded);
        amqp_maybe_release_buffers(raw->connection);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        (void)fprintf(stderr, "usage: %s AMQP_URL WINDOW MESSAGES\n", argv[0]);
        return EXIT_FAILURE;
    }
    uint64_t window = strtoull(argv[2], NULL, 10);
    uint64_t wanted = strtoull(argv[3], NULL, 10);
    struct raw raw = {.oldest = 1, .settled = calloc(wanted + 2, sizeof(bool))};
    if (raw.settled == NULL)
        client_die("out of memory");
    connect_to(&raw, argv[1]);
    uint64_t start = client_now_us();
    while (raw.confirmed < wanted) {
        while (raw.published < wanted && raw.published - raw.confirmed < window)
            publish(&raw);
        take_confirms(&raw);
    }
    double seconds = (double)(client_now_us() - start) / 1e6;
    (void)printf("{\"accepted\":%llu,\"seconds\":%.6f}\n", (unsigned long long)wanted, seconds);
    (void)amqp_connection_close(raw.connection, AMQP_REPLY_SUCCESS); /* nothing depends on it */
    (void)amqp_destroy_connection(raw.connection);
    free(raw.settled);
    return EXIT_SUCCESS;
}
