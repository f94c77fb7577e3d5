#include "producer/admission/table_asker.h"

#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"

#define ASK_MAX 256       /* questions in one query */
#define SLOW_PAUSE_MS 500 /* after a query that took too long, none is sent for a while */
#define LOGGED_MS 10000   /* between lines of one kind */
#define QUOTES 3          /* bytes that the array adds to a text */

/* A query under way; its answer frees it. */
struct lookup {
    struct table_asker *asker; /* NULL: it is gone */
    struct table_question *questions[ASK_MAX];
    size_t count; /* 0: no question waits for it any more */
};

struct table_asker {
    struct table_asker_options options;
    struct table_question *first; /* not sent yet, in order */
    struct table_question *last;
    struct lookup *under_way;
    struct loop_deferred *soon;
    struct loop_timer *late;
    uint64_t slow_until_ms;
    uint64_t slow_logged_ms;
    uint64_t refused_logged_ms;
};

/* ---- answers ---- */

static struct table_question *take_first(struct table_asker *asker)
{
    struct table_question *question = asker->first;
    asker->first = question->next;
    if (asker->first == NULL)
        asker->last = NULL;
    return question;
}

static void answer_lookup(struct table_asker *asker, struct lookup *lookup, bool read)
{
    size_t count = lookup->count;
    lookup->count = 0;
    for (size_t i = 0; i < count; i++)
        asker->options.answer(lookup->questions[i], read, asker->options.arg);
}

static void answer_queue(struct table_asker *asker)
{
    while (asker->first != NULL)
        asker->options.answer(take_first(asker), false, asker->options.arg);
}

static void take_rows(const struct table_asker *asker, struct lookup *lookup,
                      const struct pg_result *result)
{
    for (int row = 0; row < pg_rows(result); row++) {
        int64_t number = pg_int(result, row, asker->options.number);
        if (number >= 1 && (uint64_t)number <= lookup->count)
            asker->options.row(lookup->questions[number - 1], result, row, asker->options.arg);
    }
}

static void answered(const struct pg_result *result, void *arg)
{
    struct lookup *lookup = arg;
    struct table_asker *asker = lookup->asker;
    bool read = pg_status(result) == PG_OK;
    if (asker != NULL) {
        if (read)
            take_rows(asker, lookup, result);
        if (pg_status(result) == PG_ERROR && log_due(&asker->refused_logged_ms, LOGGED_MS))
            log_error(asker->options.unread, LOG_STR("problem", pg_message(result)));
        asker->under_way = NULL;
        answer_lookup(asker, lookup, read);
        if (asker->first != NULL)
            loop_defer(asker->soon);
    }
    free(lookup);
}

/* ---- questions ---- */

static int send(struct lookup *lookup, const struct table_asker_options *options)
{
    struct buf texts;
    buf_init(&texts, ASK_MAX * (options->text_max + QUOTES) + QUOTES);
    pg_array_begin(&texts);
    for (size_t i = 0; i < lookup->count; i++)
        pg_array_text(&texts, lookup->questions[i]->text);
    pg_array_end(&texts);
    const char *const params[] = {buf_text(&texts)};
    int code = texts.failed ? -1
                            : pg_query(options->sessions->reads, options->statement, params,
                                       answered, lookup);
    buf_free(&texts);
    return code;
}

static bool can_ask(const struct table_asker *asker)
{
    const struct pg *reads = asker->options.sessions->reads;
    return reads != NULL && pg_is_up(reads) && clock_mono_ms() >= asker->slow_until_ms;
}

static void ask(void *arg)
{
    struct table_asker *asker = arg;
    if (asker->first == NULL || (asker->under_way != NULL && asker->under_way->count > 0))
        return; /* those that gather meanwhile go together */
    struct lookup *lookup = NULL;
    if (asker->under_way == NULL && can_ask(asker))
        lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL) {
        answer_queue(asker);
        return;
    }
    lookup->asker = asker;
    while (asker->first != NULL && lookup->count < ASK_MAX)
        lookup->questions[lookup->count++] = take_first(asker);
    if (send(lookup, &asker->options) < 0) {
        answer_lookup(asker, lookup, false);
        free(lookup);
        answer_queue(asker);
        return;
    }
    asker->under_way = lookup;
    if (!loop_timer_active(asker->late))
        loop_timer_start(asker->late, TABLE_ASKER_WAIT_MS, 0);
}

static uint64_t oldest_ms(const struct table_asker *asker)
{
    if (asker->under_way != NULL && asker->under_way->count > 0)
        return asker->under_way->questions[0]->asked_ms;
    return asker->first != NULL ? asker->first->asked_ms : 0;
}

/* No order waits longer, neither for the query under way nor behind it. */
static void on_late(void *arg)
{
    struct table_asker *asker = arg;
    uint64_t oldest = oldest_ms(asker);
    uint64_t now_ms = clock_mono_ms();
    if (oldest == 0)
        return;
    if (oldest + TABLE_ASKER_WAIT_MS > now_ms) {
        loop_timer_start(asker->late, oldest + TABLE_ASKER_WAIT_MS - now_ms, 0);
        return;
    }
    asker->slow_until_ms = now_ms + SLOW_PAUSE_MS;
    if (log_due(&asker->slow_logged_ms, LOGGED_MS))
        log_warning(asker->options.slow, LOG_INT("waited_ms", (int64_t)(now_ms - oldest)));
    if (asker->under_way != NULL)
        answer_lookup(asker, asker->under_way, false);
    answer_queue(asker);
}

void table_asker_ask(struct table_asker *asker, struct table_question *question)
{
    question->next = NULL;
    question->asked_ms = clock_mono_ms();
    if (asker->last == NULL)
        asker->first = question;
    else
        asker->last->next = question;
    asker->last = question;
    loop_defer(asker->soon);
}

/* ---- */

struct table_asker *table_asker_new(struct loop *loop, const struct table_asker_options *options)
{
    struct table_asker *asker = calloc(1, sizeof *asker);
    if (asker == NULL)
        return NULL;
    asker->options = *options;
    asker->soon = loop_deferred_new(loop, ask, asker);
    asker->late = loop_timer_new(loop, on_late, asker);
    if (asker->soon == NULL || asker->late == NULL) {
        table_asker_free(asker);
        return NULL;
    }
    return asker;
}

void table_asker_free(struct table_asker *asker)
{
    if (asker == NULL)
        return;
    if (asker->under_way != NULL) {
        asker->under_way->asker = NULL; /* its answer, or the end of the session, frees it */
        asker->under_way->count = 0;
    }
    loop_deferred_free(asker->soon);
    loop_timer_free(asker->late);
    free(asker);
}
