#include "common/shop/topology_find.h"

#include <stdlib.h>

#include "common/base/err.h"
#include "common/shop/shard.h"
#include "common/shop/shards_serving.h"

struct search {
    struct broker *broker;
    topology_found_cb cb;
    void *arg;
    uint32_t asked; /* about */
    uint32_t found[TOPOLOGIES_MAX];
    size_t count;
};

static int ask(struct search *search);

static void answered(int code, const char *text, uint32_t messages, uint32_t consumers, void *arg)
{
    struct search *search = arg;
    (void)text;
    (void)messages;
    (void)consumers;
    if (code == 0)
        search->found[search->count++] = search->asked;
    if (code == 0 || code == ERR_NOT_FOUND) {
        search->asked *= 2;
        code = search->asked <= SHARDS_MAX ? ask(search) : 0;
        if (code == 0 && search->asked <= SHARDS_MAX)
            return;
    }
    if (code != ERR_CLOSED) /* then the caller is gone */
        search->cb(code, search->found, search->count, search->arg);
    free(search);
}

static int ask(struct search *search)
{
    char name[SHARD_NAME_SIZE];
    shard_exchange(search->asked, name);
    return broker_declare_exchange(search->broker, name, "direct", true, answered, search);
}

int topology_find(struct broker *broker, topology_found_cb cb, void *arg)
{
    if (broker_state(broker) == BROKER_DOWN)
        return ERR_UNAVAILABLE;
    struct search *search = calloc(1, sizeof *search);
    if (search == NULL)
        return ERR_NOMEM;
    *search = (struct search){.broker = broker, .cb = cb, .arg = arg, .asked = 1};
    int code = ask(search);
    if (code != 0)
        free(search);
    return code;
}
