#include "common/shop/topology.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/err.h"
#include "common/shop/shard.h"

#define IN_FLIGHT 16 /* declarations at once: keeps the broker busy, also with 1,024 shards */
#define DELIVERY_LIMIT 1000 /* a crash counts for every delivered message */
/* every reader of the dead letters gets them delivered, and this must never drop them */
#define DEAD_DELIVERY_LIMIT 1000000
#define MILESTONES_KEPT 64
#define PROBLEM_SIZE 512

/* The steps, in order. The shared ones run one by one, those of shards side by side. A daemon's
 * check leaves out those after the shards: programs of the previous release did not declare them.
 */
enum { THING_EXCHANGE, THING_DEAD_EXCHANGE, THING_DEAD_QUEUE, THING_SHARD };

struct run {
    struct broker *broker;
    struct topology_options options;
    bool declare; /* false: only check */
    bool compare; /* check that it exists, then compare its arguments */
    topology_progress_cb progress;
    topology_cb cb;
    void *arg;
    uint32_t next; /* thing */
    uint32_t done;
    uint32_t total;
    uint32_t in_flight;
    bool closed; /* the broker is being closed: no callback any more */
    int code;    /* the first error */
    char problem[PROBLEM_SIZE];
};

/* One request, so that its answer knows its subject. */
struct question {
    struct run *run;
    uint32_t thing;
    bool binding;   /* the queue is there, now it is bound … */
    bool comparing; /* … or its arguments are compared */
};

static void advance(struct run *run);

static uint32_t lost_queue(const struct run *run)
{
    return THING_SHARD + run->options.shards;
}

static uint32_t milestones_exchange(const struct run *run)
{
    return lost_queue(run) + 1;
}

static uint32_t milestones_queue(const struct run *run)
{
    return lost_queue(run) + 2;
}

static bool is_queue(const struct run *run, uint32_t thing)
{
    return thing >= THING_DEAD_QUEUE && thing != milestones_exchange(run);
}

/* Queues of dead letters have fewer arguments than those of shards. */
static bool of_dead_letters(const struct run *run, uint32_t thing)
{
    return thing == THING_DEAD_QUEUE || thing == lost_queue(run);
}

static void name_thing(const struct run *run, uint32_t thing, char *out, size_t size)
{
    char name[SHARD_NAME_SIZE];
    if (thing == THING_EXCHANGE) {
        shard_exchange(run->options.shards, name);
        (void)snprintf(out, size, "exchange %s", name);
    } else if (thing == THING_DEAD_EXCHANGE) {
        (void)snprintf(out, size, "exchange %s", SHARD_DEAD);
    } else if (thing == THING_DEAD_QUEUE) {
        (void)snprintf(out, size, "queue %s", SHARD_DEAD);
    } else if (thing == lost_queue(run)) {
        (void)snprintf(out, size, "queue %s", SHARD_LOST);
    } else if (thing > lost_queue(run)) {
        (void)snprintf(out, size, "%s %s", is_queue(run, thing) ? "queue" : "exchange",
                       SHARD_MILESTONES);
    } else {
        shard_queue(run->options.shards, thing - THING_SHARD, name);
        (void)snprintf(out, size, "queue %s", name);
    }
}

static const char *advice(int code)
{
    switch (code) {
    case ERR_NOT_FOUND:
        return "missing: run `checkoutctl topology`, and compare CHECKOUT_SHARDS";
    case ERR_CONFLICT:
        return "it exists with other arguments: use its original settings "
               "(CHECKOUT_QUEUE_MAX_BYTES, CHECKOUT_QUEUE_REPLICAS), or delete it while it is "
               "empty and declare again";
    case ERR_REFUSED:
        return "refused: check the permissions of the broker's user (configure, write, read) and "
               "the broker's log";
    default:
        return "not available: check that the broker is up and try again";
    }
}

static void fail(struct run *run, uint32_t thing, int code, const char *text)
{
    char name[SHARD_NAME_SIZE + 16];
    if (run->code != 0)
        return;
    run->code = code;
    name_thing(run, thing, name, sizeof name);
    (void)snprintf(run->problem, sizeof run->problem, "%s: %s (%s)", name, advice(code),
                   text[0] != '\0' ? text : err_text(code));
}

/* The newest milestones; a reader puts back what it was delivered. */
static int declare_milestones(struct question *question, bool declare, broker_reply_cb cb)
{
    const struct broker_argument arguments[] = {
        {"x-queue-type", "quorum", 0, false},
        {"x-queue-leader-locator", "balanced", 0, false},
        {"x-quorum-initial-group-size", NULL, question->run->options.replicas, false},
        {"x-delivery-limit", NULL, DEAD_DELIVERY_LIMIT, false},
        {"x-max-length", NULL, MILESTONES_KEPT, false},
    };
    return broker_declare_queue(question->run->broker, SHARD_MILESTONES, arguments,
                                declare ? ARRAY_LEN(arguments) : 0, !declare, cb, question);
}

static int declare_queue(struct question *question, const char *name, broker_reply_cb cb)
{
    const struct topology_options *options = &question->run->options;
    bool dead = of_dead_letters(question->run, question->thing);
    const struct broker_argument arguments[] = {
        {"x-queue-type", "quorum", 0, false},
        {"x-queue-leader-locator", "balanced", 0, false},
        {"x-quorum-initial-group-size", NULL, options->replicas, false},
        {"x-delivery-limit", NULL, dead ? DEAD_DELIVERY_LIMIT : DELIVERY_LIMIT, false},
        /* from here on not checkout.dead, which operators read at the same time as another program
         */
        {"x-single-active-consumer", NULL, 1, true},
        /* from here on only queues of shards */
        {"x-overflow", "reject-publish", 0, false},
        {"x-max-length-bytes", NULL, options->queue_max_bytes, false},
        {"x-dead-letter-exchange", SHARD_DEAD, 0, false},
        {"x-dead-letter-strategy", "at-least-once", 0, false},
    };
    size_t count = !dead ? ARRAY_LEN(arguments) : question->thing == THING_DEAD_QUEUE ? 4 : 5;
    bool declare = question->run->declare || question->comparing;
    if (question->thing == milestones_queue(question->run))
        return declare_milestones(question, declare, cb);
    return broker_declare_queue(question->run->broker, name, arguments, declare ? count : 0,
                                !declare, cb, question);
}

static int ask_queue(struct question *question, broker_reply_cb cb)
{
    const struct run *run = question->run;
    char exchange[SHARD_NAME_SIZE] = SHARD_DEAD;
    char queue[SHARD_NAME_SIZE] = SHARD_DEAD;
    char key[SHARD_NAME_SIZE] = "";
    if (question->thing == lost_queue(run)) {
        (void)snprintf(queue, sizeof queue, "%s", SHARD_LOST);
    } else if (question->thing == milestones_queue(run)) {
        (void)snprintf(exchange, sizeof exchange, "%s", SHARD_MILESTONES);
        (void)snprintf(queue, sizeof queue, "%s", SHARD_MILESTONES);
    } else if (question->thing >= THING_SHARD) {
        shard_exchange(run->options.shards, exchange);
        shard_queue(run->options.shards, question->thing - THING_SHARD, queue);
        shard_routing_key(question->thing - THING_SHARD, key);
    }
    if (!question->binding)
        return declare_queue(question, queue, cb);
    return broker_bind(run->broker, queue, exchange, key, cb, question);
}

static int ask(struct question *question, broker_reply_cb cb)
{
    struct run *run = question->run;
    char name[SHARD_NAME_SIZE];
    if (question->thing == THING_EXCHANGE) {
        shard_exchange(run->options.shards, name);
        return broker_declare_exchange(run->broker, name, "direct", !run->declare, cb, question);
    }
    if (!is_queue(run, question->thing))
        return broker_declare_exchange(
            run->broker, question->thing == THING_DEAD_EXCHANGE ? SHARD_DEAD : SHARD_MILESTONES,
            "fanout", !run->declare, cb, question);
    return ask_queue(question, cb);
}

/* A queue takes two requests, unless we only check. */
static bool has_second_step(struct question *question)
{
    if (question->binding || question->comparing)
        return false;
    question->binding = question->run->declare &&
                        !(question->run->options.unbound && question->thing >= THING_SHARD &&
                          question->thing < lost_queue(question->run));
    question->comparing = question->run->compare;
    return question->binding || question->comparing;
}

static void on_reply(int code, const char *text, uint32_t messages, uint32_t consumers, void *arg)
{
    struct question *question = arg;
    struct run *run = question->run;
    (void)messages;
    (void)consumers;
    if (code == 0 && is_queue(run, question->thing) && has_second_step(question)) {
        code = ask(question, on_reply);
        if (code == 0)
            return;
        text = "";
    }
    if (code == ERR_CLOSED)
        run->closed = true;
    if (code != 0)
        fail(run, question->thing, code, text);
    free(question);
    run->done++;
    if (code == 0 &&
        run->progress != NULL) /* it may close the broker: this request still counts as in flight */
        run->progress(run->done, run->total, run->arg);
    run->in_flight--;
    advance(run);
}

static void ask_next(struct run *run)
{
    struct question *question = malloc(sizeof *question);
    uint32_t thing = run->next++;
    int rc = ERR_NOMEM;
    if (question != NULL) {
        *question = (struct question){run, thing, false, false};
        rc = ask(question, on_reply); /* never calls back from inside the call */
    }
    if (rc == 0) {
        run->in_flight++;
        return;
    }
    free(question);
    fail(run, thing, rc, "");
}

static bool of_shard(const struct run *run, uint32_t thing)
{
    return thing > THING_SHARD && thing <= lost_queue(run);
}

/* Sends as many requests as it may; ends the run when all are answered or one failed. */
static void advance(struct run *run)
{
    while (run->code == 0 && run->next < run->total && run->in_flight < IN_FLIGHT &&
           (of_shard(run, run->next) || run->in_flight == 0))
        ask_next(run);
    if (run->in_flight > 0)
        return;
    if (!run->closed)
        run->cb(run->code, run->code == 0 ? NULL : run->problem, run->arg);
    free(run);
}

static int start(const struct run *values)
{
    if (broker_state(values->broker) == BROKER_DOWN)
        return ERR_UNAVAILABLE;
    struct run *run = malloc(sizeof *run);
    if (run == NULL)
        return ERR_NOMEM;
    *run = *values;
    run->total = run->declare || run->compare ? milestones_queue(run) + 1 : lost_queue(run);
    ask_next(run);
    if (run->in_flight ==
        0) { /* the first one could not be sent: report it here, not by a callback */
        int code = run->code;
        free(run);
        return code;
    }
    return 0;
}

int topology_declare(struct broker *broker, const struct topology_options *options,
                     topology_progress_cb progress, topology_cb cb, void *arg)
{
    const struct run run = {.broker = broker,
                            .options = *options,
                            .declare = true,
                            .progress = progress,
                            .cb = cb,
                            .arg = arg};
    return start(&run);
}

int topology_check(struct broker *broker, uint32_t shards, topology_cb cb, void *arg)
{
    const struct run run = {.broker = broker, .options = {.shards = shards}, .cb = cb, .arg = arg};
    return start(&run);
}

int topology_compare(struct broker *broker, const struct topology_options *options,
                     topology_progress_cb progress, topology_cb cb, void *arg)
{
    const struct run run = {.broker = broker,
                            .options = *options,
                            .compare = true,
                            .progress = progress,
                            .cb = cb,
                            .arg = arg};
    return start(&run);
}
