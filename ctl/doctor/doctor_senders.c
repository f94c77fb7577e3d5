#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/address.h"
#include "common/shop/redis_keys.h"
#include "ctl/doctor/findings.h"

#define ORDERS_LEAST 100 /* fewer say nothing */

/* Of this minute and the one before: all orders, the address that sent most, and how many. */
static const char script[] =
    "local minute, sums = math.floor(redis.call('TIME')[1] / 60), {} "
    "for _, key in ipairs({KEYS[1] .. minute - 1, KEYS[1] .. minute}) do "
    "  local found = redis.call('HGETALL', key) "
    "  for i = 1, #found, 2 do "
    "    sums[found[i]] = (sums[found[i]] or 0) + (tonumber(found[i+1]) or 0) end "
    "end "
    "local top, most = '', 0 "
    "for name, orders in pairs(sums) do "
    "  if name ~= '' and orders > most then top, most = name, orders end end "
    "return {sums[''] or 0, top, most}";

struct senders {
    struct ctl *ctl;
    int64_t orders;
    int64_t most;
    char address[ADDRESS_NAME_SIZE];
};

static void read_senders(const struct redis_reply *reply, void *arg)
{
    struct senders *senders = arg;
    const struct redis_reply *items = reply->items;
    if (reply->type == REDIS_ARRAY && reply->count == 3 && items[0].type == REDIS_INTEGER &&
        items[1].type == REDIS_STRING && items[1].len < sizeof senders->address &&
        items[2].type == REDIS_INTEGER) {
        senders->orders = items[0].integer;
        memcpy(senders->address, items[1].str, items[1].len);
        senders->most = items[2].integer;
    }
    loop_stop(senders->ctl->loop);
}

void doctor_senders(struct doctor *doctor)
{
    const char *const argv[] = {"EVAL", script, "1", REDIS_KEY_SENDERS};
    const size_t lens[] = {4, sizeof script - 1, 1, sizeof REDIS_KEY_SENDERS - 1};
    struct senders senders = {.ctl = doctor->ctl};
    if (redis_command(doctor->ctl->redis, 4, argv, lens, read_senders, &senders) == 0)
        loop_run(doctor->ctl->loop);
    if (senders.orders < ORDERS_LEAST || senders.most * 2 <= senders.orders)
        return;
    doctor_say(doctor, FINDING_WARN, "addresses",
               "if it is a proxy of yours, name it in CHECKOUT_TRUSTED_PROXIES of the producers, "
               "else limits of addresses take all clients for one; if it is a client, set "
               "CHECKOUT_ORDERS_PER_ADDRESS",
               "most orders of the last two minutes come from one address: %s sent %" PRId64
               " of %" PRId64,
               senders.address, senders.most, senders.orders);
}
