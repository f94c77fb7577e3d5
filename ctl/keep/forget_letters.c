#include "ctl/keep/forget_letters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/encode.h"
#include "common/net/pg/pg.h"
#include "common/shop/job.h"
#include "ctl/dead/dead_body.h"
#include "ctl/dead/dead_queue.h"

#define QUOTED_MAX ((size_t)4096)
#define IDS_MAX ((size_t)JOB_MESSAGE_ACCEPT)

/* Whether the tables know each of these orders. */
static const struct pg_statement all_known = {
    "ctl_forget_letter",
    "select count(*) = cardinality($1::uuid[]) from checkout.known_orders($1::uuid[])", 1};

/* One that names the customer. */
struct letter {
    struct letter *next;
    uint64_t tag;
    char id[DEAD_ID_SIZE];
    struct buf orders; /* an array of PostgreSQL; empty: an order in it has no id, or none can be
                          read */
};

struct forget_letters {
    struct ctl *ctl;
    struct dead_queue *queue;
    struct buf quoted; /* the customer, as it stands in JSON */
    struct letter *list;
    bool out_of_memory;
};

/* The ids of its orders, if each has one. */
static void read_orders(struct letter *letter, const struct dead_body *body)
{
    size_t jobs = dead_body_jobs(body);
    for (size_t i = 0; i < jobs; i++)
        if (dead_body_order(body, i) == NULL)
            return;
    if (jobs == 0)
        return;
    pg_array_begin(&letter->orders);
    for (size_t i = 0; i < jobs; i++)
        pg_array_text(&letter->orders, dead_body_order(body, i));
    pg_array_end(&letter->orders);
}

static struct letter *letter_new(const struct dead_letter *dead)
{
    struct dead_body *body = dead_body_new(dead->body, dead->body_len);
    struct letter *letter = calloc(1, sizeof *letter);
    if (body != NULL && letter != NULL) {
        letter->tag = dead->tag;
        memcpy(letter->id, dead->id, sizeof letter->id);
        buf_init(&letter->orders, IDS_MAX);
        read_orders(letter, body);
    } else {
        free(letter);
        letter = NULL;
    }
    dead_body_free(body);
    return letter;
}

static void look_at(const struct dead_letter *dead, void *arg)
{
    struct forget_letters *letters = arg;
    if (memmem(dead->body, dead->body_len, buf_text(&letters->quoted), letters->quoted.len) == NULL)
        return;
    struct letter *letter = letter_new(dead);
    if (letter == NULL) {
        letters->out_of_memory = true;
        return;
    }
    letter->next = letters->list;
    letters->list = letter;
}

static void take_known(const struct pg_result *result, void *arg)
{
    *(bool *)arg = pg_bool(result, 0, 0);
}

/* Refuses if one of them may be an order that is not decided. */
static int look_for_open_ones(const struct forget_letters *letters)
{
    size_t open = 0;
    const char *last = "";
    for (const struct letter *letter = letters->list; letter != NULL; letter = letter->next) {
        bool known = false;
        const char *const params[] = {buf_text(&letter->orders)};
        if (letter->orders.failed)
            return ctl_complain(CTL_FAILED, "out of memory");
        int exit_code = letter->orders.len == 0
                            ? CTL_FINE
                            : ctl_query(letters->ctl, &all_known, params, take_known, &known);
        if (exit_code != CTL_FINE)
            return exit_code;
        open += known ? 0 : 1;
        last = known ? last : letter->id;
    }
    return open == 0 ? CTL_FINE
                     : ctl_complain(CTL_FAILED,
                                    "%zu dead letters that name the user may be orders that are "
                                    "not decided, one of them is %s: replay or drop them first "
                                    "(`dead show`, `dead replay`, `dead drop`)",
                                    open, last);
}

int forget_letters_open(struct ctl *ctl, const char *user, struct forget_letters **ret_letters)
{
    int exit_code = ctl_need(ctl, &contact_broker);
    if (exit_code != CTL_FINE)
        return exit_code;
    struct forget_letters *letters = calloc(1, sizeof *letters);
    if (letters == NULL)
        return ctl_complain(CTL_FAILED, "out of memory");
    letters->ctl = ctl;
    buf_init(&letters->quoted, QUOTED_MAX);
    (void)buf_json_str(&letters->quoted, user);
    exit_code = dead_queue_open(ctl, look_at, letters, &letters->queue);
    if (exit_code == CTL_FINE && (letters->out_of_memory || letters->quoted.failed))
        exit_code = ctl_complain(CTL_FAILED, "out of memory");
    if (exit_code == CTL_FINE)
        exit_code = look_for_open_ones(letters);
    if (exit_code == CTL_FINE)
        *ret_letters = letters;
    else
        forget_letters_close(letters);
    return exit_code;
}

size_t forget_letters_drop(struct forget_letters *letters)
{
    size_t count = 0;
    for (const struct letter *letter = letters->list; letter != NULL; letter = letter->next) {
        dead_queue_ack(letters->queue, letter->tag);
        count++;
    }
    return count;
}

void forget_letters_close(struct forget_letters *letters)
{
    if (letters == NULL)
        return;
    while (letters->list != NULL) {
        struct letter *letter = letters->list;
        letters->list = letter->next;
        buf_free(&letter->orders);
        free(letter);
    }
    dead_queue_close(letters->queue);
    buf_free(&letters->quoted);
    free(letters);
}
