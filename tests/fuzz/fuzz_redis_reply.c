/* What Redis, or what stands at its address, answers to the admission's question about some orders.
 * The first byte says how many orders ask, the second what kind of reply comes, the rest what is in
 * it. Each order gets its verdict once, from an answer, a lost connection or the clock. */
#include "tests/fuzz/fuzz.h"

#include "common/base/log.h"
#include "producer/admission/admission.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_pg.h"
#include "tests/fake/fake_redis.h"

#define ORDERS_MAX 8
#define ITEMS_MAX 16
#define REFUSALS 64    /* the first bytes are negative numbers */
#define FIRST_TEXT 128 /* the last bytes are no numbers */

static unsigned verdicts[ORDERS_MAX];
static struct admission_entry entries[ORDERS_MAX];

static void verdict(struct admission_entry *entry, enum admission_verdict said, void *arg)
{
    (void)arg;
    MUST(said >= ADMISSION_PASS && said <= ADMISSION_OPEN);
    if (said == ADMISSION_LIMITED)
        MUST(entry->refused.kind < LIMIT_KINDS && entry->refused.wait_us >= 0);
    verdicts[entry - entries]++;
}

static struct redis_reply item_of(uint8_t byte)
{
    static char text[] = "text";
    struct redis_reply item = {.type = REDIS_INTEGER, .integer = (int64_t)byte - REFUSALS};
    if (byte == FIRST_TEXT - 1)
        item.integer = INT64_MAX;
    else if (byte == FIRST_TEXT - 2)
        item.integer = INT64_MIN;
    else if (byte >= FIRST_TEXT)
        item = (struct redis_reply){
            .type = byte % 2 == 0 ? REDIS_STRING : REDIS_NIL, .str = text, .len = sizeof text - 1};
    return item;
}

static struct redis_reply reply_of(uint8_t kind, const uint8_t *data, size_t size,
                                   struct redis_reply *items)
{
    static char text[] = "ERR or a status";
    size_t count = size < ITEMS_MAX ? size : ITEMS_MAX;
    for (size_t i = 0; i < count; i++)
        items[i] = item_of(data[i]);
    switch (kind % 8) {
    case 0:
        return (struct redis_reply){.type = REDIS_ERROR, .str = text, .len = sizeof text - 1};
    case 1:
        return (struct redis_reply){.type = REDIS_STRING, .str = text, .len = sizeof text - 1};
    case 2:
        return (struct redis_reply){.type = REDIS_NIL};
    case 3:
        return (struct redis_reply){.type = REDIS_INTEGER, .integer = 5};
    default:
        return (struct redis_reply){.type = REDIS_ARRAY, .items = items, .count = count};
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    struct redis_reply items[ITEMS_MAX];
    size_t orders = 1 + data[0] % ORDERS_MAX;
    fake_loop_reset();
    struct redis *redis = fake_redis_new();
    fake_redis_up(redis);
    struct loop *loop = loop_new();
    const struct sessions sessions = {.reads = NULL}; /* PostgreSQL is away */
    static const struct rate rates[LIMIT_KINDS] = {{2, 60}, {3, 60}};
    struct limits *limits = limits_new(rates);
    MUST(limits != NULL);
    const struct admission_options options = {
        .redis = redis, .sessions = &sessions, .limits = limits};
    struct admission *admission = admission_new(loop, &options, verdict, NULL);
    MUST(admission != NULL);
    memset(verdicts, 0, sizeof verdicts);
    for (size_t i = 0; i < orders; i++) {
        entries[i] = (struct admission_entry){.order_id = "3b94d501-1a99-88b2-9f64-5cc7c16aaf31",
                                              .fingerprint = "0123456789abcdef0123456789abcdef",
                                              .sku = "dress",
                                              .names = {.of = {"alice", "192.0.2.1"}}};
        admission_ask(admission, &entries[i]);
    }
    fake_loop_run(data[0] / ORDERS_MAX % 2 == 0 ? 0 : 200); /* 200: Redis is late */
    struct redis_reply reply = reply_of(data[1], data + 2, size - 2, items);
    while (fake_redis_waiting(redis) > 0)
        fake_redis_answer(redis, 0, &reply);
    fake_redis_down(redis);
    fake_loop_run(1000);
    for (size_t i = 0; i < orders; i++)
        MUST(verdicts[i] == 1);
    admission_free(admission);
    limits_free(limits);
    redis_close(redis);
    loop_free(loop);
    return 0;
}
