/*
 * RabbitMQ's answer to a question about the topology, waited for:
 *
 *     struct broker_reply reply = {.ctl = ctl};
 *     int code = broker_reply_await(&reply, broker_bind(…, broker_replied, &reply));
 */
#ifndef CTL_BROKER_REPLY_H
#define CTL_BROKER_REPLY_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "ctl/ctl.h"

struct broker_reply {
    struct ctl *ctl;
    int code; /* as of broker_reply_cb */
    uint32_t messages;
    uint32_t consumers;
    char text[CTL_PROBLEM_SIZE]; /* the server's words, or ours; "" if all is well */
};

/* The callback of the question; its argument is the reply. */
void broker_replied(int code, const char *text, uint32_t messages, uint32_t consumers, void *arg);
/* `code`: what the call returned that asked. Returns that if it failed, else waits (60 s at most,
 * see broker.h) and returns reply->code. */
MUST_CHECK int broker_reply_await(struct broker_reply *reply, int code);
/* How full a queue is: the same for a question about that. */
MUST_CHECK int broker_reply_count(struct broker_reply *reply, const char *queue);

#endif
