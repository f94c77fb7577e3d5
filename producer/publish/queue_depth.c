#include "producer/publish/queue_depth.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/attrs.h"
#include "common/shop/shard.h"

#define ASK_MS 5000
#define AT_ONCE 8
#define LABELS_SIZE 32

/* A queue under question. The last one is that of dead letters. */
struct question {
    struct queue_depth *depth;
    struct metric *messages;
    struct metric *consumers; /* NULL: not shown */
};

struct queue_depth {
    struct broker *broker;
    struct metrics *metrics;
    struct loop_timer *timer;
    uint32_t serving; /* `questions` follow when none is open */
    uint32_t shards;
    uint32_t next; /* number of the question to ask next */
    uint32_t unanswered;
    struct question *questions; /* one for each shard, and one more */
    int64_t dead_letters;       /* -1: not counted yet */
};

static void ask(struct queue_depth *depth);

/* A queue that is not there, or does not answer, stays as it was. */
static void counted(int code, const char *text, uint32_t messages, uint32_t consumers, void *arg)
{
    const struct question *question = arg;
    (void)text;
    if (code == 0) {
        metric_set(question->messages, messages);
        metric_set(question->consumers, consumers);
    }
    if (code == 0 && question == &question->depth->questions[question->depth->shards])
        question->depth->dead_letters = messages;
    question->depth->unanswered--;
    if (code == 0)
        ask(question->depth);
}

static void ask(struct queue_depth *depth)
{
    while (depth->unanswered < AT_ONCE && depth->next <= depth->shards) {
        char queue[SHARD_NAME_SIZE] = SHARD_DEAD;
        if (depth->next < depth->shards)
            shard_queue(depth->shards, depth->next, queue);
        if (broker_declare_queue(depth->broker, queue, NULL, 0, true, counted,
                                 &depth->questions[depth->next]) < 0)
            return;
        depth->next++;
        depth->unanswered++;
    }
}

static void declare(struct queue_depth *depth)
{
    struct metrics *metrics = depth->metrics;
    char labels[LABELS_SIZE];
    for (uint32_t i = 0; i <= depth->shards; i++)
        depth->questions[i].depth = depth;
    for (uint32_t i = 0; i < depth->shards; i++) {
        (void)snprintf(labels, sizeof labels, "shard=\"%" PRIu32 "\"", i);
        depth->questions[i].messages = metrics_gauge(
            metrics, "checkout_queue_messages",
            "Messages that RabbitMQ has not delivered; each has up to 256 orders.", labels);
        depth->questions[i].consumers = metrics_gauge(
            metrics, "checkout_queue_consumers", "Consumers of the queue at RabbitMQ.", labels);
    }
    depth->questions[depth->shards].messages = metrics_gauge(
        metrics, "checkout_dead_letters", "Dead letters that wait for somebody.", NULL);
}

/* Whether there is something to ask. */
static bool prepare(struct queue_depth *depth)
{
    if (depth->serving == depth->shards)
        return depth->shards > 0;
    struct question *questions = calloc((size_t)depth->serving + 1, sizeof *questions);
    if (questions == NULL)
        return false;
    for (uint32_t i = depth->serving; i < depth->shards; i++) { /* there were more before */
        metric_set(depth->questions[i].messages, 0);
        metric_set(depth->questions[i].consumers, 0);
    }
    free(depth->questions);
    depth->questions = questions;
    depth->shards = depth->serving;
    declare(depth);
    return depth->shards > 0;
}

static void round_due(void *arg)
{
    struct queue_depth *depth = arg;
    if (depth->unanswered > 0 || broker_state(depth->broker) == BROKER_DOWN || !prepare(depth))
        return;
    depth->next = 0;
    ask(depth);
}

void queue_depth_serve(struct queue_depth *depth, uint32_t shards)
{
    depth->serving = shards;
}

struct queue_depth *queue_depth_new(struct loop *loop, struct broker *broker,
                                    struct metrics *metrics)
{
    struct queue_depth *depth = calloc(1, sizeof *depth);
    if (depth == NULL)
        return NULL;
    depth->broker = broker;
    depth->metrics = metrics;
    depth->dead_letters = -1;
    depth->timer = loop_timer_new(loop, round_due, depth);
    if (depth->timer == NULL) {
        free(depth);
        return NULL;
    }
    loop_timer_start(depth->timer, ASK_MS, ASK_MS);
    return depth;
}

int64_t queue_depth_dead_letters(const struct queue_depth *depth)
{
    return depth->dead_letters;
}

void queue_depth_free(struct queue_depth *depth)
{
    if (depth == NULL)
        return;
    loop_timer_free(depth->timer);
    free(depth->questions);
    free(depth);
}
