/* What the shop's own copy of the feed knows of orders. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/strmap.h"
#include "common/shop/ids.h"
#include "ctl/restore/adopt.h"

#define LINES 200 /* of a page */
#define PAGE_MAX ((size_t)4 * 1024 * 1024)
#define UNPAID_MAX 100000 /* more are named at once, whatever the feed says of them later */

static const struct pg_statement adopt = {
    "ctl_restore_feed", "select order_id, result from checkout.adopt_feed($1::jsonb, $2::boolean)",
    2};

/* An order that was confirmed, without a payment to adopt: it may have been refunded since. */
struct unpaid {
    struct strmap_entry entry;
    char order_id[IDS_ORDER_SIZE];
};

struct reading {
    struct ctl *ctl;
    bool dry;
    struct adoption *adoption;
    struct buf page; /* elements of a JSON array */
    size_t lines;
    struct strmap unpaid;
};

static void leave(struct adoption *adoption, const char *order_id)
{
    adoption->left++;
    (void)ctl_complain(0,
                       "order %s is not adopted: the feed says that it was confirmed, and the "
                       "gateway's list has no payment of it",
                       order_id);
}

static void note_unpaid(struct reading *reading, const char *order_id)
{
    struct strmap *map = &reading->unpaid;
    if (strmap_find(map, order_id, strlen(order_id)) != NULL)
        return;
    struct unpaid *unpaid = map->count < UNPAID_MAX ? calloc(1, sizeof *unpaid) : NULL;
    if (unpaid != NULL)
        (void)snprintf(unpaid->order_id, sizeof unpaid->order_id, "%s", order_id);
    if (unpaid == NULL ||
        strmap_add(map, &unpaid->entry, unpaid->order_id, strlen(unpaid->order_id)) < 0) {
        free(unpaid);
        leave(reading->adoption, order_id);
    }
}

static void drop_unpaid(struct strmap *map, const char *order_id)
{
    struct unpaid *unpaid =
        STRMAP_OF(strmap_find(map, order_id, strlen(order_id)), struct unpaid, entry);
    if (unpaid != NULL)
        strmap_remove(map, &unpaid->entry);
    free(unpaid);
}

/* The feed is read. */
static void leave_unpaid(struct reading *reading)
{
    for (struct strmap_entry *entry; (entry = strmap_next(&reading->unpaid, NULL)) != NULL;) {
        struct unpaid *unpaid = STRMAP_OF(entry, struct unpaid, entry);
        leave(reading->adoption, unpaid->order_id);
        drop_unpaid(&reading->unpaid, unpaid->order_id);
    }
    strmap_free(&reading->unpaid);
}

static void take_results(const struct pg_result *result, void *arg)
{
    struct reading *reading = arg;
    for (int row = 0; row < pg_rows(result); row++) {
        const char *order_id = pg_text(result, row, 0);
        const char *word = pg_text(result, row, 1);
        reading->adoption->named += strcmp(word, "named") == 0;
        reading->adoption->ended += strcmp(word, "ended") == 0;
        if (strcmp(word, "no-payment") == 0)
            note_unpaid(reading, order_id);
        else if (strcmp(word, "refunded") == 0)
            drop_unpaid(&reading->unpaid, order_id);
    }
}

static int end_page(struct reading *reading)
{
    if (reading->lines == 0)
        return CTL_FINE;
    (void)buf_char(&reading->page, ']');
    const char *const params[] = {buf_text(&reading->page), reading->dry ? "t" : "f"};
    int exit_code = reading->page.failed
                        ? ctl_complain(CTL_FAILED, "--feed: out of memory")
                        : ctl_query(reading->ctl, &adopt, params, take_results, reading);
    buf_reset(&reading->page);
    reading->lines = 0;
    return exit_code;
}

static int take_line(struct reading *reading, const char *line, size_t len)
{
    if (len == 0 || line[0] == '\n')
        return CTL_FINE;
    if (line[0] != '{')
        return ctl_complain(CTL_USAGE, "--feed: \"%.40s\" is no line of `events follow --json`",
                            line);
    (void)buf_char(&reading->page, reading->lines++ == 0 ? '[' : ',');
    (void)buf_append(&reading->page, line, len);
    return reading->lines == LINES ? end_page(reading) : CTL_FINE;
}

int adopt_feed(struct ctl *ctl, const char *path, bool dry, struct adoption *adoption)
{
    struct reading reading = {.ctl = ctl, .dry = dry, .adoption = adoption};
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return ctl_complain(CTL_USAGE, "--feed: %s: %s", path, strerror(errno));
    buf_init(&reading.page, PAGE_MAX);
    char *line = NULL;
    size_t size = 0;
    int exit_code = CTL_FINE;
    ssize_t len = 0;
    while (exit_code == CTL_FINE && (len = getline(&line, &size, file)) >= 0)
        exit_code = take_line(&reading, line, (size_t)len);
    if (exit_code == CTL_FINE && ferror(file))
        exit_code = ctl_complain(CTL_FAILED, "--feed: %s: %s", path, strerror(errno));
    if (exit_code == CTL_FINE)
        exit_code = end_page(&reading);
    leave_unpaid(&reading);
    free(line);
    (void)fclose(file); /* only read */
    buf_free(&reading.page);
    return exit_code;
}
