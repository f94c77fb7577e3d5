#include "ctl/serving.h"

#include "common/shop/shards_serving.h"

static void read_number(const struct pg_result *result, void *arg)
{
    *(uint32_t *)arg = shards_serving_read(result);
}

int serving_read(struct ctl *ctl, uint32_t *ret_shards)
{
    *ret_shards = 0;
    return ctl_query(ctl, &shards_serving, NULL, read_number, ret_shards);
}

int serving_need(struct ctl *ctl, uint32_t *ret_shards)
{
    int exit_code = serving_read(ctl, ret_shards);
    if (exit_code == CTL_FINE && *ret_shards == 0)
        return ctl_complain(CTL_FAILED, SHARDS_NONE_SERVE " first");
    return exit_code;
}
