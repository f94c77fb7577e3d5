/* What an audit prints: each violation at once, and at the end notes and what was checked. */
#ifndef CTL_AUDIT_AUDIT_REPORT_H
#define CTL_AUDIT_AUDIT_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/net/pg/pg.h"
#include "ctl/audit/audit_kinds.h"
#include "ctl/progress.h"

struct audit_report {
    bool json;
    struct progress progress; /* wiped before each print */
    uint64_t violations;
    uint64_t notes;
    struct buf note_list; /* the first ones, in JSON */
    uint64_t of_kind[AUDIT_KINDS_MAX];
    struct buf checked; /* members of a JSON object */
    struct buf words;   /* the same for people */
    struct buf line;
};

/* One violation or (by its kind) note. Texts may be NULL: not about such a thing. */
struct audit_finding {
    const char *kind;
    const char *sku;
    const char *order_id;
    const char *shard;
    const char *intent_id;
    const char *found;
};

/* The columns of checkout.finding, as queries name them. */
#define AUDIT_COLUMNS "kind, sku, order_id, shard, intent_id, found"

void audit_report_begin(struct audit_report *report, bool json);
void audit_report_add(struct audit_report *report, const struct audit_finding *finding);
/* A row of AUDIT_COLUMNS. Its texts live as long as the result. */
struct audit_finding audit_finding_of(const struct pg_result *result, int row);
/* Counts checked things: `name` in JSON, `what` for people. */
void audit_report_checked(struct audit_report *report, const char *name, const char *what,
                          uint64_t count);
/* Prints the end. `complete`: the audit checked everything. */
void audit_report_end(struct audit_report *report, bool complete, uint64_t took_ms);
void audit_report_free(struct audit_report *report);

#endif
