/* URLs of servers, as an operator or a template writes them. The first byte says whose. */
#include "tests/fuzz/fuzz.h"

#include "common/base/err.h"
#include "common/net/amqp/broker_url.h"
#include "common/net/pg/pg_hosts.h"
#include "common/net/redis/redis_url.h"

static void check_broker(const char *text)
{
    struct broker_hosts hosts = {0};
    const char *problem = NULL;
    if (broker_url_parse(text, &hosts, &problem) < 0) {
        MUST(problem != NULL && hosts.hosts == NULL);
        return;
    }
    MUST(hosts.count > 0);
    for (size_t i = 0; i < hosts.count; i++)
        MUST(hosts.hosts[i].host[0] != '\0' && hosts.hosts[i].port > 0);
    broker_url_free(&hosts);
}

static void check_redis(const char *text)
{
    struct redis_url url;
    const char *problem = NULL;
    memset(&url, 0x5a, sizeof url);
    if (redis_url_parse(text, &url, &problem) < 0) {
        MUST(problem != NULL);
        return;
    }
    MUST(url.host[0] != '\0' && url.port > 0 && strlen(url.host) <= REDIS_URL_PART_MAX);
    MUST(url.user[0] == '\0' || url.password[0] != '\0');
}

static void check_postgres(const char *text)
{
    char *names = text_of(text, strlen(text));
    char *ports = strchr(names, '/');
    struct pg_host host;
    if (ports != NULL)
        *ports++ = '\0';
    for (unsigned turn = 0; turn < 4; turn++) {
        memset(&host, 0x5a, sizeof host);
        if (pg_hosts_pick(names, ports == NULL ? "" : ports, turn, &host) == 0) {
            MUST(strlen(host.name) < sizeof host.name && strlen(host.port) < sizeof host.port);
            MUST(strchr(host.name, ',') == NULL && strchr(host.port, ',') == NULL);
        }
    }
    free(names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *text = text_of(data + 1, size - 1);
    if (data[0] % 3 == 0)
        check_broker(text);
    else if (data[0] % 3 == 1)
        check_redis(text);
    else
        check_postgres(text);
    free(text);
    return 0;
}
