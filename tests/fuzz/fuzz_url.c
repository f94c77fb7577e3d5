/* URLs, as an operator or a template writes them, and what is like them: origins, bearer tokens.
 * The first byte says which. */
#include "tests/fuzz/fuzz.h"

#include "common/base/buf.h"
#include "common/net/amqp/broker_url.h"
#include "common/net/http/http_bearer.h"
#include "common/net/pg/pg_hosts.h"
#include "common/net/redis/redis_url.h"
#include "common/net/url.h"
#include "common/shop/origins.h"

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

static void check_any(const char *text)
{
    struct url url;
    const char *problem = NULL;
    struct buf shown;
    size_t len = strlen(text);
    buf_init(&shown, 1024 * 1024);
    MUST(url_hide_password(text, len, &shown) == 0);
    if (url_parse(text, len, &url, &problem) == 0) {
        MUST(url.host.len > 0 && url.host.text >= text &&
             url.host.text + url.host.len <= text + len);
        if (url.has_password &&
            url.password.len > 4) { /* no shorter one, which may stand elsewhere, too */
            char *password = text_of(url.password.text, url.password.len);
            const char *first = strstr(text, password);
            if (strstr(first + 1, password) == NULL)
                MUST(strstr(buf_text(&shown), password) == NULL);
            free(password);
        }
    } else {
        MUST(problem != NULL);
    }
    buf_free(&shown);
    char host[64];
    url_host_of(text, host, sizeof host);
    MUST(strlen(host) < sizeof host);
    (void)url_login_problem(text);
}

static void check_origins(const char *text)
{
    struct origins *origins = NULL;
    const char *problem = NULL;
    char *list = text_of(text, strcspn(text, "|"));
    if (origins_new(list, &origins, &problem) == 0) {
        (void)origins_allow(origins, strchr(text, '|') == NULL ? NULL : strchr(text, '|') + 1);
        if (strpbrk(list, ", \t*") == NULL && list[0] != '\0')
            MUST(origins_allow(origins, list)); /* the only one of its list is on it */
        MUST(!origins_allow(origins, NULL));
        origins_free(origins);
    } else {
        MUST(problem != NULL);
    }
    free(list);
}

static void check_bearer(const char *text)
{
    const char *token = NULL;
    const char *problem = NULL;
    if (http_bearer_read(text, 1, &token, &problem) == 0)
        MUST(token != NULL && token[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *text = text_of(data + 1, size - 1);
    static void (*const checks[])(const char *) = {check_broker, check_redis,   check_postgres,
                                                   check_any,    check_origins, check_bearer};
    checks[data[0] % (sizeof checks / sizeof checks[0])](text);
    free(text);
    return 0;
}
