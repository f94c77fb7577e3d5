#include "consumer/money/pager.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/testing/failpoint.h"

#define PAGE_SIZE 100
#define PAGES_MAX 20000
#define TRIES_MAX 8 /* of one page */
#define NO_PLACE_MS 100
#define AGAIN_FIRST_MS 100
#define AGAIN_MAX_MS 5000

struct pager {
    struct pager_options o;
    struct loop_timer *timer;
    struct backoff backoff;
    int64_t from_s;
    unsigned pages;             /* read so far */
    unsigned tries;             /* of the present one */
    char after[PAY_ID_MAX + 1]; /* the last intent of the page before; "": none */
};

static void ask(void *arg);

struct pager *pager_new(const struct pager_options *options)
{
    struct pager *pager = calloc(1, sizeof *pager);
    if (pager == NULL)
        return NULL;
    pager->o = *options;
    pager->timer = loop_timer_new(options->loop, ask, pager);
    backoff_init(&pager->backoff, AGAIN_FIRST_MS, AGAIN_MAX_MS, clock_mono_us());
    if (pager->timer == NULL) {
        free(pager);
        return NULL;
    }
    return pager;
}

void pager_free(struct pager *pager)
{
    if (pager == NULL)
        return;
    loop_timer_free(pager->timer);
    free(pager);
}

void pager_start(struct pager *pager, int64_t from_s)
{
    pager->from_s = from_s;
    pager->pages = 0;
    pager->tries = 0;
    pager->after[0] = '\0';
    backoff_reset(&pager->backoff);
    loop_timer_start(pager->timer, 0, 0);
}

static void failed(struct pager *pager, int code)
{
    if (++pager->tries < TRIES_MAX)
        loop_timer_start(pager->timer, backoff_next(&pager->backoff), 0);
    else
        pager->o.end(code, pager->o.arg);
}

static void paged(int code, const struct pay_intent *intents, size_t count, bool has_more,
                  void *arg)
{
    struct pager *pager = arg;
    FAILPOINT(LOOK_UP_ANSWERED);
    if (code < 0) {
        failed(pager, code);
        return;
    }
    pager->tries = 0;
    backoff_reset(&pager->backoff);
    if (has_more) /* then it is not empty */
        (void)snprintf(pager->after, sizeof pager->after, "%s", intents[count - 1].id);
    pager->o.page(intents, count, pager->o.arg);
    if (!has_more)
        pager->o.end(0, pager->o.arg);
    else if (++pager->pages == PAGES_MAX)
        pager->o.end(ERR_FULL, pager->o.arg);
    else
        ask(pager);
}

static void ask(void *arg)
{
    struct pager *pager = arg;
    const char *after = pager->after[0] == '\0' ? NULL : pager->after;
    int code = pay_list(pager->o.pay, pager->from_s, after, PAGE_SIZE, paged, pager);
    if (code == ERR_FULL) /* payments have all the places at the gateway */
        loop_timer_start(pager->timer, NO_PLACE_MS, 0);
    else if (code < 0)
        failed(pager, code);
    FAILPOINT_SOON(LOOK_UP_SENT);
}
