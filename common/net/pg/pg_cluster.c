#include "common/net/pg/pg_cluster.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/testing/seeded_bug.h"

#define REASON_SIZE 256

/* A role without rights may read all of this. A standby does not show the timeline that it writes,
 * since it writes none; its control file has the one that it has replayed. */
const struct pg_statement pg_identity_statement = {
    "pg_identity",
    "select (select c.system_identifier::text from pg_control_system() c),"
    "       case when pg_is_in_recovery()"
    "            then (select greatest(c.timeline_id, r.min_recovery_end_timeline)"
    "                    from pg_control_checkpoint() c, pg_control_recovery() r)"
    "            else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint end,"
    "       pg_is_in_recovery(), pg_backend_pid()",
    0};

struct pg_identity pg_identity_of(const struct pg_result *result)
{
    struct pg_identity identity = {.known = false};
    if (pg_status(result) != PG_OK || pg_rows(result) != 1)
        return identity;
    identity.known = true;
    identity.timeline = pg_int(result, 0, 1);
    identity.standby = pg_bool(result, 0, 2);
    identity.backend = (int)pg_int(result, 0, 3);
    (void)snprintf(identity.system, sizeof identity.system, "%s", pg_text(result, 0, 0));
    return identity;
}

void pg_cluster_join(struct pg_cluster *cluster, struct pg_cluster_member *member)
{
    TAILQ_INSERT_TAIL(&cluster->all, member, of_all);
}

void pg_cluster_leave(struct pg_cluster *cluster, struct pg_cluster_member *member)
{
    if (cluster != NULL)
        TAILQ_REMOVE(&cluster->all, member, of_all);
}

bool pg_cluster_asked(struct pg_cluster *cluster, struct pg_cluster_member *member)
{
    if (!cluster->ask(cluster->peers))
        return true;
    member->waits = true;
    TAILQ_INSERT_TAIL(&cluster->waiting, member, of_waiting);
    return false;
}

void pg_cluster_forget(struct pg_cluster *cluster, struct pg_cluster_member *member)
{
    if (cluster == NULL)
        return;
    member->up = false;
    if (member->waits)
        TAILQ_REMOVE(&cluster->waiting, member, of_waiting);
    member->waits = false;
}

void pg_cluster_asking(struct pg_cluster *cluster)
{
    memset(cluster->hosts, 0, sizeof cluster->hosts);
}

void pg_cluster_found(struct pg_cluster *cluster, size_t host, const char *place,
                      const struct pg_identity *identity)
{
    assert(host < cluster->host_count);
    struct pg_cluster_host *found = &cluster->hosts[host];
    *found = (struct pg_cluster_host){.answered = identity != NULL};
    (void)snprintf(found->place, sizeof found->place, "%s", place);
    if (identity != NULL)
        found->identity = *identity;
}

void pg_cluster_all_asked(struct pg_cluster *cluster)
{
    struct pg_cluster_member *member;
    while ((member = TAILQ_FIRST(&cluster->waiting)) != NULL) {
        TAILQ_REMOVE(&cluster->waiting, member, of_waiting);
        member->waits = false;
        member->known(member->arg); /* it may do anything to this list */
    }
}

static bool same_system(const struct pg_identity *a, const struct pg_identity *b)
{
    return strcmp(a->system, b->system) == 0;
}

static int old_primary(const char *place, int64_t timeline, const char *newer_place, int64_t newer,
                       char *ret_reason, size_t reason_size)
{
    (void)snprintf(ret_reason, reason_size,
                   "%.60s is an old primary, or has not caught up: it is at timeline %" PRId64
                   ", and %.60s at %" PRId64,
                   place, timeline, newer_place, newer);
    return ERR_UNAVAILABLE;
}

static int compare(const struct pg_cluster *cluster, const struct pg_cluster_member *member,
                   char *ret_reason, size_t reason_size)
{
    const struct pg_identity *mine = &member->identity;
    const struct pg_identity *seen = &cluster->seen;
    if (seen->known && !same_system(seen, mine)) {
        (void)snprintf(ret_reason, reason_size,
                       "%.80s is another cluster (%s, not %s): if that is meant, restart the "
                       "programs",
                       member->place, mine->system, seen->system);
        return ERR_UNAVAILABLE;
    }
    SEEDED_BUG(OLD_PRIMARY, return 0);
    if (seen->known && seen->timeline > mine->timeline)
        return old_primary(member->place, mine->timeline, cluster->seen_place, seen->timeline,
                           ret_reason, reason_size);
    for (size_t i = 0; i < cluster->host_count; i++) {
        const struct pg_identity *other = &cluster->hosts[i].identity;
        if (other->known && same_system(other, mine) && other->timeline > mine->timeline)
            return old_primary(member->place, mine->timeline, cluster->hosts[i].place,
                               other->timeline, ret_reason, reason_size);
    }
    return 0;
}

/* Sessions at a server that is none of the newest timeline end. */
static void end_outdated(struct pg_cluster *cluster)
{
    struct pg_cluster_member *member;
    TAILQ_FOREACH(member, &cluster->all, of_all)
    {
        char reason[REASON_SIZE];
        if (!member->up || !member->identity.known ||
            member->identity.timeline >= cluster->seen.timeline)
            continue;
        (void)old_primary(member->place, member->identity.timeline, cluster->seen_place,
                          cluster->seen.timeline, reason, sizeof reason);
        member->up = false;
        member->outdated(reason, member->arg);
    }
}

static void accept(struct pg_cluster *cluster, struct pg_cluster_member *member)
{
    const struct pg_identity *mine = &member->identity;
    member->moved = member->last_place[0] != '\0' &&
                    (strcmp(member->last_place, member->place) != 0 ||
                     member->last.timeline != mine->timeline || !same_system(&member->last, mine));
    member->last = *mine;
    memcpy(member->last_place, member->place, sizeof member->last_place);
    member->up = true;
    if (!mine->known || (cluster->seen.known && cluster->seen.timeline >= mine->timeline))
        return;
    cluster->seen = *mine;
    memcpy(cluster->seen_place, member->place, sizeof cluster->seen_place);
    if (!SEEDED_BUG_IS(OLD_PRIMARY))
        end_outdated(cluster);
}

int pg_cluster_judge(struct pg_cluster *cluster, struct pg_cluster_member *member, char *ret_reason,
                     size_t reason_size)
{
    if (!member->identity.known && !cluster->hidden_logged) {
        cluster->hidden_logged = true;
        log_warning("PostgreSQL does not show its timeline: an old primary is not recognised",
                    LOG_STR("host", member->place));
    }
    int code = member->identity.known ? compare(cluster, member, ret_reason, reason_size) : 0;
    if (code == 0)
        accept(cluster, member);
    return code;
}
