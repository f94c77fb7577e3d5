#include "ctl/gateway.h"

#include "common/pay/stripe/stripe.h"

struct pay *gateway_open(struct loop *loop, const struct cfg *cfg, uint32_t timeout_ms)
{
    size_t key_len;
    const struct stripe_options options = {.base_url = cfg_str(cfg, CFG_GATEWAY_URL),
                                           .secret_key =
                                               cfg_secret(cfg, CFG_GATEWAY_KEY_FILE, &key_len),
                                           .api_version = cfg_str(cfg, CFG_GATEWAY_VERSION),
                                           .ca_file = cfg_str(cfg, CFG_GATEWAY_CA_FILE),
                                           .inflight_max = 1,
                                           .timeout_ms = timeout_ms};
    return stripe_new(loop, &options);
}
