/* The findings of doctor: subject, state and remedy. */
#ifndef CTL_DOCTOR_FINDINGS_H
#define CTL_DOCTOR_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "ctl/ctl.h"

enum finding_level { FINDING_OK, FINDING_WARN, FINDING_FAIL, FINDING_LEVELS };

#define FINDINGS_MAX 128 /* that the document has */
#define FINDING_SIZE 400

struct finding {
    enum finding_level level;
    const char *subject; /* static */
    char text[FINDING_SIZE];
    char advice[FINDING_SIZE]; /* "" if no action is needed */
};

struct doctor {
    struct ctl *ctl;
    uint32_t shards; /* set, or in service; 0: neither is known */
    struct finding findings[FINDINGS_MAX];
    size_t count;
    size_t counts[FINDING_LEVELS]; /* of all, also of those that had no place */
};

/* Adds a finding; prints it at once unless the output is JSON. */
void doctor_say(struct doctor *doctor, enum finding_level level, const char *subject,
                const char *advice, const char *format, ...) PRINTF_LIKE(5, 6);
size_t findings_count(const struct doctor *doctor, enum finding_level level);
/* All of them as one document, to stdout. */
void findings_print_json(const struct doctor *doctor);

/* From here on a query may take 5 s at most, so that a locked table or a silent server keeps doctor
 * from nothing else. PostgreSQL answers. */
void doctor_limit_queries(struct doctor *doctor);
/* Runs a query without parameters, whose rows `rows` gets. False: it failed, which is a finding of
 * its own. */
bool doctor_ask(struct doctor *doctor, const struct pg_statement *statement, pg_result_cb rows,
                void *arg);

/* Each checks one subject; doctor_*.c. */
void doctor_settings(struct doctor *doctor);
void doctor_database(struct doctor *doctor);
/* Each host of the database's URL. */
void doctor_hosts(struct doctor *doctor);
/* The consumers, and what they lack; PostgreSQL answers. */
void doctor_members(struct doctor *doctor);
/* The daemons' heartbeats; PostgreSQL answers. */
void doctor_daemons(struct doctor *doctor);
/* Whether payments and waitlists move; PostgreSQL answers. */
void doctor_pace(struct doctor *doctor);
/* Whether the server takes writes, and no pooler is in between; PostgreSQL answers. */
void doctor_session(struct doctor *doctor);
/* Whether commits wait; PostgreSQL answers. */
void doctor_commits(struct doctor *doctor);
/* What happens at the gateway without us; PostgreSQL answers. */
void doctor_money(struct doctor *doctor);
/* Mails that wait or failed; PostgreSQL answers. */
void doctor_mails(struct doctor *doctor);
void doctor_hooks(struct doctor *doctor);
void doctor_broker(struct doctor *doctor);
/* Policies of the broker, by its management API; the broker answers. */
void doctor_policies(struct doctor *doctor);
/* Whether the database is the newest, by the milestones; the broker answers. */
void doctor_milestones(struct doctor *doctor);
void doctor_redis(struct doctor *doctor);
/* Whether one address sends most orders; Redis answers. */
void doctor_senders(struct doctor *doctor);
void doctor_gateway(struct doctor *doctor);

#endif
