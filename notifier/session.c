#include "notifier/session.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/service/spans.h"

/* Stands before the text of each held event. */
struct held_head {
    struct envelope envelope;
    size_t len;
};

static void count(struct stats *stats, const struct envelope *envelope)
{
    metric_add(stats->pushed, 1);
    if (envelope->time_ms == 0)
        return;
    int64_t age_ms = clock_wall_ms() - envelope->time_ms;
    metric_observe(stats->push_seconds, age_ms < 0 ? 0 : (double)age_ms / 1000);
    struct span *span = spans_record(stats->spans, envelope->order_id, envelope->traceparent,
                                     envelope->came_us, "push event", SPAN_CONSUMER);
    span_number(span, "checkout.event.sequence", envelope->sequence);
}

int session_tell(struct session *session, const char *text, size_t len)
{
    int code = ws_send(session->ws, text, len);
    if (code == ERR_FULL)
        ws_close(session->ws, WS_CLOSE_TRY_LATER, "too slow: connect again", "slow");
    else if (code < 0 && code != ERR_CLOSED)
        ws_close(session->ws, WS_CLOSE_TRY_LATER, "out of memory: connect again", "memory");
    return code;
}

void session_push(struct session *session, const struct envelope *envelope, const char *text,
                  size_t len)
{
    if (!progress_advance(&session->progress, envelope, clock_mono_ms())) {
        metric_add(session->stats->stale, 1);
        return;
    }
    if (session_tell(session, text, len) < 0)
        return;
    count(session->stats, envelope);
    if (session->pushed != NULL)
        session->pushed(session, envelope, session->pushed_arg);
}

void session_offer(struct session *session, const struct envelope *envelope, const char *text,
                   size_t len)
{
    if (!session->holding) {
        session_push(session, envelope, text, len);
        return;
    }
    const struct held_head head = {*envelope, len};
    size_t before = session->held.len;
    if (!session->held_lost && buf_append(&session->held, &head, sizeof head) == 0 &&
        buf_append(&session->held, text, len) == 0)
        return;
    /* The database has them all: another replay is better than a buffer without a bound. */
    session->held.len = before;
    session->held_lost = true;
}

void session_hold(struct session *session)
{
    session->holding = true;
}

void session_release(struct session *session)
{
    session->holding = false;
    size_t at = 0;
    while (at < session->held.len) {
        struct held_head head;
        memcpy(&head, session->held.data + at, sizeof head);
        at += sizeof head;
        session_push(session, &head.envelope, session->held.data + at, head.len);
        at += head.len;
    }
    buf_free(&session->held);
}

void session_clear(struct session *session)
{
    progress_free(&session->progress);
    buf_free(&session->held);
}
