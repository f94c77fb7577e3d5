#include "consumer/gateway/gateway_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/testing/failpoint.h"

#define PAGE_SIZE 100
#define PAGES_MAX 20000
#define TRIES_MAX 8 /* of one page */
#define NO_PLACE_MS 100
#define PAGE_FIRST_MS 100
#define PAGE_MAX_MS 5000
#define SKEW_S 3600  /* that clocks may differ by */
#define ROUNDING_S 5 /* dates are of whole seconds, and take a while to come */

struct gateway_list {
    struct gateway_list_options o;
    struct loop_timer *timer; /* the next page */
    struct backoff backoff;
    bool clock_known;
    int64_t ahead_s; /* the gateway's clock, of our wall clock */
    /* of the reading */
    int64_t began_ms;
    int64_t oldest_ms; /* monotonic */
    int64_t from_s;    /* by the gateway's clock */
    unsigned pages_read;
    unsigned tries;
    char after[PAY_ID_MAX + 1]; /* the last intent of the page before; "": none */
};

static void ask(void *arg);

struct gateway_list *gateway_list_new(const struct gateway_list_options *options)
{
    struct gateway_list *list = calloc(1, sizeof *list);
    if (list == NULL)
        return NULL;
    list->o = *options;
    backoff_init(&list->backoff, PAGE_FIRST_MS, PAGE_MAX_MS, clock_mono_us() + 1);
    list->timer = loop_timer_new(options->loop, ask, list);
    if (list->timer == NULL) {
        free(list);
        return NULL;
    }
    return list;
}

void gateway_list_free(struct gateway_list *list)
{
    if (list == NULL)
        return;
    loop_timer_free(list->timer);
    free(list);
}

void gateway_list_heard_date(struct gateway_list *list, int64_t date_s)
{
    if (date_s == 0)
        return;
    list->clock_known = true;
    list->ahead_s = date_s - clock_wall_ms() / 1000;
}

/* By the earlier of both clocks: the gateway's date may be that of a proxy, in a zone of its own.
 */
static int64_t from_now(const struct gateway_list *list)
{
    bool behind = list->clock_known && list->ahead_s < 0;
    int64_t now_s = clock_wall_ms() / 1000 + (behind ? list->ahead_s : 0);
    return now_s - ((int64_t)clock_mono_ms() - list->oldest_ms) / 1000 - SKEW_S;
}

void gateway_list_read(struct gateway_list *list, int64_t oldest_ms)
{
    list->began_ms = (int64_t)clock_mono_ms();
    list->oldest_ms = oldest_ms;
    list->from_s = from_now(list);
    list->pages_read = 0;
    list->tries = 0;
    list->after[0] = '\0';
    backoff_reset(&list->backoff);
    ask(list);
}

static void give_up(struct gateway_list *list, int code)
{
    log_warning("gateway's list cannot be read to its end; trying again later",
                LOG_STR("problem", err_text(code)), LOG_INT("pages", list->pages_read));
    list->o.done(code, list->began_ms, list->o.arg);
}

static void page_failed(struct gateway_list *list, int code)
{
    if (++list->tries < TRIES_MAX)
        loop_timer_start(list->timer, backoff_next(&list->backoff), 0);
    else
        give_up(list, code);
}

/* The list was begun too late for the clock that this page shows: what it lacks may be before that.
 */
static bool begins_too_late(struct gateway_list *list, const struct pay_page *page)
{
    gateway_list_heard_date(list, page->date_s);
    if (page->date_s == 0 || list->from_s <= 0)
        return false;
    if (from_now(list) >= list->from_s - SKEW_S / 2)
        return false;
    log_warning("gateway's clock is behind ours: reading its list from earlier on",
                LOG_INT("behind_s", -list->ahead_s));
    return true;
}

/* Whether what the list lacks is not there. If the clocks differ by more than is allowed, one of
 * them is wrong, and perhaps both: then the list may have been begun too late. */
static bool is_conclusive(const struct gateway_list *list, const struct pay_page *page)
{
    if (page->date_s != 0 && llabs(list->ahead_s) <= SKEW_S + ROUNDING_S)
        return true;
    if (page->date_s == 0)
        log_error("gateway's list has no date: payments that it lacks stay unclear");
    else
        log_error("gateway's clock and ours differ: payments that its list lacks stay unclear",
                  LOG_INT("gateway_ahead_s", list->ahead_s));
    return false;
}

static void paged(const struct pay_page *page, void *arg)
{
    struct gateway_list *list = arg;
    FAILPOINT(LOOK_UP_ANSWERED);
    if (page->code < 0) {
        page_failed(list, page->code);
        return;
    }
    if (begins_too_late(list, page)) {
        gateway_list_read(list, list->oldest_ms);
        return;
    }
    const char *last = page->count == 0 ? "" : page->intents[page->count - 1].id;
    if (page->has_more && strcmp(last, list->after) == 0) {
        log_error("gateway's list repeats a page: it is given up; payments stay unclear",
                  LOG_STR("after", last));
        give_up(list, ERR_PARSE);
        return;
    }
    list->tries = 0;
    backoff_reset(&list->backoff);
    for (size_t i = 0; i < page->count; i++)
        list->o.intent(&page->intents[i], list->o.arg);
    (void)snprintf(list->after, sizeof list->after, "%s", last);
    if (!page->has_more)
        list->o.done(0, is_conclusive(list, page) ? list->began_ms : GATEWAY_LIST_UNCLEAR,
                     list->o.arg);
    else if (++list->pages_read == PAGES_MAX)
        give_up(list, ERR_FULL);
    else
        ask(list);
}

static void ask(void *arg)
{
    struct gateway_list *list = arg;
    const char *after = list->after[0] == '\0' ? NULL : list->after;
    struct gateway *gateway = list->o.gateway;
    int code = ERR_FULL;
    if (gateway_may_call(gateway))
        code = pay_list(gateway_pay(gateway), list->from_s, after, PAGE_SIZE, paged, list);
    if (code == ERR_FULL) /* payments have all the places at the gateway */
        loop_timer_start(list->timer, NO_PLACE_MS, 0);
    else if (code < 0)
        page_failed(list, code);
    FAILPOINT_SOON(LOOK_UP_SENT);
}
