#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/net/pg/pg_impl.h"
#include "common/net/pg/pg_url.h"

#define ASK_MS 1000    /* a host that has not answered by then counts as dead */
#define RECENT_MS 1000 /* an answer counts for so long, so that many sessions ask only once */

/* Asks every host of the URL for its identity, in sessions of their own. */
struct pg_peers {
    struct pg_cluster cluster;
    struct loop *loop;
    char *url;
    char *application_name;
    struct probe {
        struct pg_peers *peers;
        struct pg *pg; /* NULL: it has answered, or failed */
    } probes[PG_CLUSTER_HOSTS_MAX];
    size_t asking;
    struct loop_timer *deadline;
    pg_survey_cb survey; /* NULL: no caller waits */
    void *survey_arg;
    uint64_t asked_ms; /* when the newest round ended; 0: none has */
};

static void tell_survey(struct pg_peers *peers)
{
    struct pg_found found[PG_CLUSTER_HOSTS_MAX];
    pg_survey_cb survey = peers->survey;
    peers->survey = NULL;
    if (survey == NULL)
        return;
    for (size_t i = 0; i < peers->cluster.host_count; i++) {
        const struct pg_cluster_host *host = &peers->cluster.hosts[i];
        found[i] = (struct pg_found){.place = host->place,
                                     .answered = host->answered,
                                     .known = host->identity.known,
                                     .writes = host->answered && !host->identity.standby,
                                     .system = host->identity.system,
                                     .timeline = host->identity.timeline};
    }
    survey(found, peers->cluster.host_count, peers->survey_arg);
}

/* Notes what the host answered, and ends the session. */
static void end_probe(struct probe *probe, bool answered)
{
    struct pg_peers *peers = probe->peers;
    const struct pg_cluster_member *member = &probe->pg->member;
    pg_cluster_found(&peers->cluster, (size_t)(probe - peers->probes), member->place,
                     answered ? &member->identity : NULL);
    pg_close(probe->pg);
    probe->pg = NULL;
}

static void end_round(struct pg_peers *peers)
{
    for (size_t i = 0; i < peers->cluster.host_count; i++)
        if (peers->probes[i].pg != NULL)
            end_probe(&peers->probes[i], false);
    peers->asking = 0;
    peers->asked_ms = clock_mono_ms();
    loop_timer_stop(peers->deadline);
    pg_cluster_all_asked(&peers->cluster);
    tell_survey(peers);
}

static void deadline(void *arg)
{
    struct pg_peers *peers = arg;
    end_round(peers);
}

/* From the loop, so not inside start_round. */
static void probed(bool up, const char *reason, void *arg)
{
    struct probe *probe = arg;
    struct pg_peers *peers = probe->peers;
    (void)reason; /* it counts as dead */
    end_probe(probe, up);
    if (--peers->asking == 0)
        end_round(peers);
}

static void start_round(struct pg_peers *peers)
{
    pg_cluster_asking(&peers->cluster);
    for (size_t i = 0; i < peers->cluster.host_count; i++) {
        struct probe *probe = &peers->probes[i];
        const struct pg_options options = {.url = peers->url,
                                           .application_name = peers->application_name,
                                           .statement_timeout_ms = ASK_MS,
                                           .pending_max = 1};
        *probe = (struct probe){.peers = peers};
        probe->pg = pg_open_probe(peers->loop, &options, i, probed, probe);
        if (probe->pg != NULL)
            peers->asking++;
    }
    loop_timer_start(peers->deadline, peers->asking > 0 ? ASK_MS : 0, 0);
}

/* With one host alone there is no other to ask. */
static bool ask(struct pg_peers *peers)
{
    if (peers->asking > 0)
        return true;
    if (peers->cluster.host_count < 2 ||
        (peers->asked_ms != 0 && clock_mono_ms() - peers->asked_ms < RECENT_MS))
        return false;
    start_round(peers);
    return peers->asking > 0;
}

void pg_cluster_survey(struct pg_cluster *cluster, pg_survey_cb cb, void *arg)
{
    struct pg_peers *peers = cluster->peers;
    peers->survey = cb;
    peers->survey_arg = arg;
    if (peers->asking == 0)
        start_round(peers);
}

struct pg_cluster *pg_cluster_new(struct loop *loop, const char *url, const char *application_name)
{
    struct pg_peers *peers = calloc(1, sizeof *peers);
    if (peers == NULL)
        return NULL;
    struct pg_cluster *cluster = &peers->cluster;
    TAILQ_INIT(&cluster->all);
    TAILQ_INIT(&cluster->waiting);
    cluster->peers = peers;
    cluster->ask = ask;
    peers->loop = loop;
    peers->url = strdup(url);
    peers->application_name = strdup(application_name);
    peers->deadline = loop_timer_new(loop, deadline, peers);
    if (peers->url == NULL || peers->application_name == NULL || peers->deadline == NULL) {
        pg_cluster_free(cluster);
        return NULL;
    }
    size_t hosts = pg_url_hosts(url);
    cluster->host_count = hosts < PG_CLUSTER_HOSTS_MAX ? hosts : PG_CLUSTER_HOSTS_MAX;
    return cluster;
}

void pg_cluster_free(struct pg_cluster *cluster)
{
    if (cluster == NULL)
        return;
    struct pg_peers *peers = cluster->peers;
    for (size_t i = 0; i < cluster->host_count; i++)
        pg_close(peers->probes[i].pg);
    if (peers->url != NULL)
        explicit_bzero(peers->url, strlen(peers->url));
    loop_timer_free(peers->deadline);
    free(peers->url);
    free(peers->application_name);
    free(peers);
}
