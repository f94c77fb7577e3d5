/* What the shop's own copy of the feed knows of orders. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/restore/adopt.h"

#define LINES 200 /* of a page */
#define PAGE_MAX ((size_t)4 * 1024 * 1024)

static const struct pg_statement adopt = {
    "ctl_restore_feed", "select order_id, result from checkout.adopt_feed($1::jsonb, $2::boolean)",
    2};

struct reading {
    struct ctl *ctl;
    bool dry;
    struct adoption *adoption;
    struct buf page; /* elements of a JSON array */
    size_t lines;
};

static void take_results(const struct pg_result *result, void *arg)
{
    struct adoption *adoption = ((struct reading *)arg)->adoption;
    for (int row = 0; row < pg_rows(result); row++) {
        const char *word = pg_text(result, row, 1);
        adoption->named += strcmp(word, "named") == 0;
        adoption->ended += strcmp(word, "ended") == 0;
        if (strcmp(word, "no-payment") != 0)
            continue;
        adoption->left++;
        (void)ctl_complain(0,
                           "order %s is not adopted: the feed says that it was confirmed, and the "
                           "gateway's list has no payment of it",
                           pg_text(result, row, 0));
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
    free(line);
    (void)fclose(file); /* only read */
    buf_free(&reading.page);
    return exit_code;
}
