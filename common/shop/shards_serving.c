#include "common/shop/shards_serving.h"

const struct pg_statement shards_serving = {"shards_serving", "select shards from checkout.service",
                                            0};

uint32_t shards_serving_read(const struct pg_result *result)
{
    return pg_rows(result) == 0 ? 0 : (uint32_t)pg_int(result, 0, 0);
}
