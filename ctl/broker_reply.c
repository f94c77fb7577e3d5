#include "ctl/broker_reply.h"

#include <stdio.h>

#include "common/base/err.h"

static void note(struct broker_reply *reply, int code, const char *text)
{
    reply->code = code;
    (void)snprintf(reply->text, sizeof reply->text, "%s",
                   text[0] == '\0' && code < 0 ? err_text(code) : text);
}

void broker_replied(int code, const char *text, uint32_t messages, uint32_t consumers, void *arg)
{
    struct broker_reply *reply = arg;
    note(reply, code, text);
    reply->messages = messages;
    reply->consumers = consumers;
    loop_stop(reply->ctl->loop);
}

int broker_reply_await(struct broker_reply *reply, int code)
{
    if (code == 0)
        loop_run(reply->ctl->loop);
    else
        note(reply, code, "");
    return reply->code;
}

int broker_reply_count(struct broker_reply *reply, const char *queue)
{
    return broker_reply_await(reply, broker_declare_queue(reply->ctl->broker, queue, NULL, 0, true,
                                                          broker_replied, reply));
}
