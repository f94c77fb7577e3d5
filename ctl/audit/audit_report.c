#include "ctl/audit/audit_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES_MAX ((size_t)64 * 1024)
#define CHECKED_MAX ((size_t)4096)
#define NOTES_MAX ((size_t)256 * 1024) /* bytes of notes in JSON; more are only counted */

void audit_report_begin(struct audit_report *report, bool json)
{
    *report = (struct audit_report){.json = json};
    buf_init(&report->checked, CHECKED_MAX);
    buf_init(&report->words, CHECKED_MAX);
    buf_init(&report->line, LINE_BYTES_MAX);
    buf_init(&report->note_list, NOTES_MAX);
    if (json)
        (void)fputs("{\"violations\":[", stdout);
}

void audit_report_free(struct audit_report *report)
{
    progress_end(&report->progress);
    buf_free(&report->checked);
    buf_free(&report->words);
    buf_free(&report->line);
    buf_free(&report->note_list);
}

struct audit_finding audit_finding_of(const struct pg_result *result, int row)
{
    return (struct audit_finding){.kind = pg_text_or_null(result, row, 0),
                                  .sku = pg_text_or_null(result, row, 1),
                                  .order_id = pg_text_or_null(result, row, 2),
                                  .shard = pg_text_or_null(result, row, 3),
                                  .intent_id = pg_text_or_null(result, row, 4),
                                  .found = pg_text_or_null(result, row, 5)};
}

/* ---- a violation ---- */

static void write_json(struct buf *line, const struct audit_kind *kind,
                       const struct audit_finding *finding)
{
    (void)buf_printf(line, "{\"promise\":\"%s\",\"kind\":", kind->promise);
    (void)buf_json_str(line, finding->kind);
    (void)buf_json_member(line, "sku", finding->sku);
    (void)buf_json_member(line, "order_id", finding->order_id);
    if (finding->shard != NULL)
        (void)buf_printf(line, ",\"shard\":%s", finding->shard);
    (void)buf_json_member(line, "intent_id", finding->intent_id);
    (void)buf_json_member(line, "found", finding->found);
    (void)buf_json_member(line, "advice", kind->advice);
    (void)buf_char(line, '}');
}

static void add_word(struct buf *line, const char *name, const char *value)
{
    if (value != NULL)
        (void)buf_printf(line, "  %s %s", name, value);
}

/* Texts of gateways and tables go to a terminal: without control characters. */
static void disarm(struct buf *line)
{
    for (size_t i = 0; i < line->len; i++)
        if ((unsigned char)line->data[i] < ' ' || line->data[i] == 0x7f)
            line->data[i] = '?';
}

static void write_words(struct buf *line, const struct audit_kind *kind,
                        const struct audit_finding *finding)
{
    (void)buf_printf(line, "%s  %s", kind->promise, finding->kind);
    add_word(line, "item", finding->sku);
    add_word(line, "order", finding->order_id);
    add_word(line, "shard", finding->shard);
    add_word(line, "intent", finding->intent_id);
    (void)buf_printf(line, ": %s", finding->found == NULL ? "" : finding->found);
    disarm(line);
}

/* Notes wait for the end of the list of violations. */
static void keep_note(struct audit_report *report, const struct audit_kind *kind,
                      const struct audit_finding *finding)
{
    struct buf *line = &report->line;
    write_json(line, kind, finding);
    if (report->note_list.len + line->len + 2 > NOTES_MAX)
        return;
    (void)buf_str(&report->note_list, report->note_list.len == 0 ? "\n" : ",\n");
    (void)buf_append(&report->note_list, buf_text(line), line->len);
}

void audit_report_add(struct audit_report *report, const struct audit_finding *finding)
{
    size_t place = audit_kind_of(finding->kind);
    const struct audit_kind *kind = audit_kind(place);
    bool note = strcmp(kind->promise, AUDIT_NOTE) == 0;
    struct buf *line = &report->line;
    buf_reset(line);
    progress_end(&report->progress);
    report->of_kind[place]++;
    report->notes += note;
    if (report->json && note) {
        keep_note(report, kind, finding);
        return;
    }
    if (report->json) {
        (void)buf_str(line, report->violations == 0 ? "\n" : ",\n");
        write_json(line, kind, finding);
    } else {
        write_words(line, kind, finding);
        (void)buf_char(line, '\n');
    }
    report->violations += !note;
    (void)fputs(buf_text(line), stdout); /* main reports if the output could not be written */
}

/* ---- the end ---- */

void audit_report_checked(struct audit_report *report, const char *name, const char *what,
                          uint64_t count)
{
    (void)buf_printf(&report->checked, "%s\"%s\":%" PRIu64, report->checked.len == 0 ? "" : ",",
                     name, count);
    (void)buf_printf(&report->words, "%s%" PRIu64 " %s", report->words.len == 0 ? "" : ", ", count,
                     what);
}

static void print_advice(const struct audit_report *report)
{
    (void)puts("\nWhat to do:");
    for (size_t i = 0; i < audit_kinds(); i++)
        if (report->of_kind[i] > 0)
            (void)printf("  %s  %s (%" PRIu64 "): %s\n", audit_kind(i)->promise,
                         audit_kind(i)->name, report->of_kind[i], audit_kind(i)->advice);
    (void)puts("");
}

void audit_report_end(struct audit_report *report, bool complete, uint64_t took_ms)
{
    double seconds = (double)took_ms / 1000;
    progress_end(&report->progress);
    if (report->json) {
        (void)printf("%s],\"violation_count\":%" PRIu64 ",\"notes\":[%s%s],\"note_count\":%" PRIu64
                     ",\"checked\":{%s},\"complete\":%s,\"seconds\":%.3f}\n",
                     report->violations == 0 ? "" : "\n", report->violations,
                     buf_text(&report->note_list), report->notes == 0 ? "" : "\n", report->notes,
                     buf_text(&report->checked), complete ? "true" : "false", seconds);
        return;
    }
    if (report->violations + report->notes > 0)
        print_advice(report);
    (void)printf("checked %s in %.1f s\n",
                 report->words.len == 0 ? "nothing" : buf_text(&report->words), seconds);
    (void)printf("%" PRIu64 " violations%s\n", report->violations,
                 complete ? "" : " so far: the audit could not be finished");
}
