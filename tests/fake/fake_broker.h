/*
 * A scripted RabbitMQ in place of common/net/amqp/broker*.c: connections, channels, confirms and
 * deliveries come when the test says so.
 */
#ifndef TESTS_FAKE_BROKER_H
#define TESTS_FAKE_BROKER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/net/amqp/broker.h"

/* Forgets what brokers were opened. Call it first in a test's setup. */
void fake_broker_reset(void);
/* The broker that was opened as the n-th, from 0. */
struct broker *fake_broker(size_t number);
/* How many were opened. */
size_t fake_brokers(void);

void fake_broker_up(struct broker *broker);
void fake_broker_blocked(struct broker *broker);
/* Channels hear that they are closed, then the connection is down. */
void fake_broker_down(struct broker *broker);
bool fake_broker_suspended(const struct broker *broker);
/* How often the connection was ended by its owner, to try another host; and why the last time. */
size_t fake_broker_moves(const struct broker *broker);
/* Its URLs name so many nodes; it has 1 unless told. */
void fake_broker_set_nodes(struct broker *broker, size_t count);
const char *fake_broker_move_reason(const struct broker *broker);

/* The exchange or queue of the oldest question without an answer; "": none waits. */
const char *fake_broker_asked(const struct broker *broker);
/* Answers it. */
void fake_broker_answer(struct broker *broker, int code);
/* Answers that it is there, with so many messages and consumers. */
void fake_broker_answer_with(struct broker *broker, uint32_t messages, uint32_t consumers);

/* Channels that are not closed by their owner; the n-th of them in the order of opening. */
size_t fake_broker_channels(const struct broker *broker);
struct broker_channel *fake_broker_channel(struct broker *broker, size_t number);
/* The one that consumes `queue`, or NULL. */
struct broker_channel *fake_broker_consumer(struct broker *broker, const char *queue);
/* How many were ever opened. */
size_t fake_broker_channels_ever(const struct broker *broker);

void fake_channel_open(struct broker_channel *channel);
/* By the broker's doing. */
void fake_channel_break(struct broker_channel *channel);
void fake_channel_confirm(struct broker_channel *channel, uint64_t sequence,
                          enum broker_confirm result);
/* Delivers `body` with the channel's next tag. */
void fake_channel_deliver(struct broker_channel *channel, const char *body);
/* The next broker_publish gives `code` (once). */
void fake_channel_fail_next(struct broker_channel *channel, int code);
/* Messages published on it, and what the n-th of them was, from 1 as sequences count. */
size_t fake_channel_published(const struct broker_channel *channel);
const char *fake_channel_key(const struct broker_channel *channel, uint64_t sequence);
const char *fake_channel_body(const struct broker_channel *channel, uint64_t sequence);
/* The highest tag acknowledged with all before it; where each is acknowledged alone, how many are.
 * 0: none. */
uint64_t fake_channel_acked(const struct broker_channel *channel);

#endif
