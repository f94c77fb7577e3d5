#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "ctl/command.h"
#include "ctl/dead/dead_body.h"
#include "ctl/dead/dead_queue.h"
#include "ctl/human.h"
#include "ctl/table.h"

#define DOCUMENT_MAX ((size_t)4 * 1024 * 1024)
#define LINES_MAX ((size_t)256 * 1024 * 1024)
#define NUMBER_SIZE 24
#define DEAD_SETTINGS (CFG_BIT(AMQP_URL) | CFG_BIT(AMQP_HEARTBEAT) | CFG_BIT(DATABASE_URL))

/* ---- list ---- */

static const struct table_column columns[] = {
    {"ID", "id", TABLE_TEXT},         {"DIED", "died", TABLE_NUMBER},
    {"JOBS", "jobs", TABLE_NUMBER},   {"BYTES", "bytes", TABLE_NUMBER},
    {"REASON", "reason", TABLE_TEXT},
};

struct listing {
    struct ctl *ctl;
    struct table *table; /* for people … */
    struct buf lines; /* … or JSON: printed after the letters are back in the queue, however slow
                         the reader */
    int code;
};

static int64_t age_ms(const struct dead_letter *letter)
{
    int64_t age = clock_wall_ms() - letter->died_s * 1000;
    return letter->died_s == 0 ? -1 : age < 0 ? 0 : age;
}

static void add_died(const struct dead_letter *letter, struct buf *out)
{
    char time[CLOCK_RFC3339_SIZE];
    clock_rfc3339(letter->died_s * 1000, time);
    (void)buf_printf(out, ",\"died_at\":%s%s%s", letter->died_s == 0 ? "null" : "\"",
                     letter->died_s == 0 ? "" : time, letter->died_s == 0 ? "" : "\"");
}

static void add_json(const struct dead_letter *letter, const struct dead_body *body,
                     struct buf *out)
{
    (void)buf_printf(out, "{\"id\":\"%s\",\"reason\":", letter->id);
    (void)buf_json_str(out, letter->reason);
    add_died(letter, out);
    (void)buf_str(out, ",\"from_queue\":");
    if (letter->from_queue[0] == '\0')
        (void)buf_str(out, "null");
    else
        (void)buf_json_str(out, letter->from_queue);
    (void)buf_printf(out, ",\"bytes\":%" PRIu64 ",\"jobs\":%zu,\"orders\":[", letter->body_size,
                     dead_body_jobs(body));
    const char *comma = "";
    for (size_t i = 0; i < dead_body_jobs(body); i++) {
        const char *order = dead_body_order(body, i);
        if (order == NULL)
            continue;
        (void)buf_printf(out, "%s\"%s\"", comma, order);
        comma = ",";
    }
    (void)buf_char(out, ']');
}

static void list_one(const struct dead_letter *letter, void *arg)
{
    struct listing *listing = arg;
    struct dead_body *body = dead_body_new(letter->body, letter->body_len);
    if (body == NULL) {
        listing->code = ERR_NOMEM;
        return;
    }
    if (listing->ctl->json) {
        add_json(letter, body, &listing->lines);
        (void)buf_str(&listing->lines, "}\n");
        if (listing->lines.failed)
            listing->code = ERR_FULL;
    } else {
        char died[HUMAN_SIZE], jobs[NUMBER_SIZE], bytes[NUMBER_SIZE];
        human_age(age_ms(letter), died);
        (void)snprintf(jobs, sizeof jobs, "%zu", dead_body_jobs(body));
        (void)snprintf(bytes, sizeof bytes, "%" PRIu64, letter->body_size);
        const char *const values[] = {letter->id, died, jobs, bytes, letter->reason};
        if (table_add(listing->table, values) < 0)
            listing->code = ERR_NOMEM;
    }
    dead_body_free(body);
}

static int run_list(struct ctl *ctl, const struct command_args *args)
{
    struct listing listing = {.ctl = ctl, .table = table_new(columns, ARRAY_LEN(columns))};
    struct dead_queue *queue = NULL;
    (void)args;
    if (listing.table == NULL)
        return ctl_complain(CTL_FAILED, "out of memory");
    buf_init(&listing.lines, LINES_MAX);
    int exit_code = dead_queue_open(ctl, list_one, &listing, &queue);
    dead_queue_close(queue);
    if (exit_code == CTL_FINE && listing.code < 0)
        exit_code = ctl_complain(CTL_FAILED, "%s", err_text(listing.code));
    if (exit_code == CTL_FINE && ctl->json)
        (void)fputs(buf_text(&listing.lines), stdout);
    if (exit_code == CTL_FINE && !ctl->json && table_rows(listing.table) == 0)
        (void)puts("no dead letters");
    else if (exit_code == CTL_FINE && !ctl->json)
        table_print(listing.table);
    buf_free(&listing.lines);
    table_free(listing.table);
    return exit_code;
}

const struct command command_dead_list = {
    .words = "dead list",
    .operands = "",
    .summary = "shows unreadable messages",
    .details = "Oldest first. The id is a hash of the content: equal letters have the same id and "
               "count as one. Listing changes nothing, even if it is killed; only one operator can "
               "list at a time.",
    .settings = DEAD_SETTINGS,
    .run = run_list,
};

/* ---- show ---- */

struct showing {
    struct ctl *ctl;
    const char *id;
    size_t found;
    int code;
};

static void print_words(const struct dead_letter *letter, const struct dead_body *body)
{
    struct buf masked;
    char age[HUMAN_SIZE];
    buf_init(&masked, DOCUMENT_MAX);
    human_age(age_ms(letter), age);
    dead_body_mask(body, &masked);
    (void)printf("id      %s\nreason  %s\ndied    %s%s\nfrom    %s\nbytes   %" PRIu64 "%s\n"
                 "type    %s\njobs    %zu\n",
                 letter->id, letter->reason, letter->died_s == 0 ? "not recorded" : age,
                 letter->died_s == 0 ? "" : " ago",
                 letter->from_queue[0] == '\0' ? "a consumer that could not read it"
                                               : letter->from_queue,
                 letter->body_size, letter->body_size > letter->body_len ? " (cut below)" : "",
                 letter->type[0] == '\0' ? "-" : letter->type, dead_body_jobs(body));
    for (size_t i = 0; i < dead_body_jobs(body); i++)
        if (dead_body_order(body, i) != NULL)
            (void)printf("order   %s\n", dead_body_order(body, i));
    (void)printf("\n%s%s\n", dead_body_is_json(body) ? "" : "The body is no JSON:\n",
                 buf_text(&masked));
    buf_free(&masked);
}

static void print_json(const struct dead_letter *letter, const struct dead_body *body)
{
    struct buf out, masked;
    buf_init(&out, DOCUMENT_MAX);
    buf_init(&masked, DOCUMENT_MAX);
    add_json(letter, body, &out);
    dead_body_mask(body, &masked);
    (void)buf_str(&out, ",\"body\":");
    (void)buf_json_str(&out, buf_text(&masked));
    (void)printf("%s}\n", buf_text(&out));
    buf_free(&masked);
    buf_free(&out);
}

static void show_one(const struct dead_letter *letter, void *arg)
{
    struct showing *showing = arg;
    if (strcmp(letter->id, showing->id) != 0 || showing->found++ > 0)
        return;
    struct dead_body *body = dead_body_new(letter->body, letter->body_len);
    if (body == NULL)
        showing->code = ERR_NOMEM;
    else if (showing->ctl->json)
        print_json(letter, body);
    else
        print_words(letter, body);
    dead_body_free(body);
}

static int run_show(struct ctl *ctl, const struct command_args *args)
{
    struct showing showing = {ctl, args->operands[0], 0, 0};
    struct dead_queue *queue = NULL;
    int exit_code = dead_queue_open(ctl, show_one, &showing, &queue);
    dead_queue_close(queue);
    if (exit_code == CTL_FINE && showing.code < 0)
        return ctl_complain(CTL_FAILED, "out of memory");
    if (exit_code == CTL_FINE && showing.found == 0)
        return ctl_complain(CTL_FAILED, "no dead letter has the id \"%.40s\"", showing.id);
    if (showing.found > 1 && !ctl->json)
        (void)printf("\n%zu letters are like this one.\n", showing.found);
    return exit_code;
}

const struct command command_dead_show = {
    .words = "dead show",
    .operands = "ID",
    .operand_count = 1,
    .summary = "shows the reason and the content of a dead letter",
    .details = "Replaces payment methods, addresses and all that may be one by ***.",
    .settings = DEAD_SETTINGS,
    .run = run_show,
};

/* ---- drop ---- */

struct dropping {
    const char *id; /* NULL: all */
    uint64_t *tags;
    size_t count;
    int code;
};

static void note_one(const struct dead_letter *letter, void *arg)
{
    struct dropping *dropping = arg;
    if (strcmp(letter->id, dropping->id) != 0)
        return;
    uint64_t *tags = realloc(dropping->tags, (dropping->count + 1) * sizeof *tags);
    if (tags == NULL) {
        dropping->code = ERR_NOMEM;
        return;
    }
    dropping->tags = tags;
    tags[dropping->count++] = letter->tag;
}

static int run_drop(struct ctl *ctl, const struct command_args *args)
{
    struct dropping dropping = {.id = args->operands[0]};
    struct dead_queue *queue = NULL;
    if (!command_switch(&command_dead_drop, args, "yes"))
        return ctl_complain(
            CTL_USAGE,
            "its orders would never be decided; see `dead show`, and give --yes to drop it");
    int exit_code = dead_queue_open(ctl, note_one, &dropping, &queue);
    if (exit_code == CTL_FINE && dropping.code < 0)
        exit_code = ctl_complain(CTL_FAILED, "out of memory; nothing was dropped");
    else if (exit_code == CTL_FINE && dropping.count == 0)
        exit_code =
            ctl_complain(CTL_FAILED, "no dead letter has the id \"%.40s\"", args->operands[0]);
    for (size_t i = 0; i < dropping.count && exit_code == CTL_FINE; i++)
        dead_queue_ack(queue, dropping.tags[i]);
    dead_queue_close(queue);
    free(dropping.tags);
    if (exit_code == CTL_FINE && ctl->json)
        (void)printf("{\"id\":\"%s\",\"dropped\":%zu}\n", args->operands[0], dropping.count);
    else if (exit_code == CTL_FINE)
        (void)printf("dropped %zu\n", dropping.count);
    return exit_code;
}

const struct command command_dead_drop = {
    .words = "dead drop",
    .operands = "ID",
    .operand_count = 1,
    .summary = "ends a dead letter for good",
    .details = "No consumer decides its orders any more: their buyers see \"queued\" for ever. If "
               "it is readable, replay it instead.",
    .options = {{"yes", NULL, "confirms it"}},
    .settings = DEAD_SETTINGS,
    .run = run_drop,
};
