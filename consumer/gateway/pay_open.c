#include "consumer/gateway/pay_open.h"

#include "common/pay/stripe/stripe.h"

struct pay *pay_open(struct loop *loop, const struct cfg *cfg)
{
    size_t key_len;
    const struct stripe_options options = {
        .base_url = cfg_str(cfg, CFG_GATEWAY_URL),
        .secret_key = cfg_secret(cfg, CFG_GATEWAY_KEY_FILE, &key_len),
        .api_version = cfg_str(cfg, CFG_GATEWAY_VERSION),
        .methods = cfg_str(cfg, CFG_GATEWAY_METHODS),
        .return_url = cfg_str(cfg, CFG_GATEWAY_RETURN_URL),
        .ca_file = cfg_str(cfg, CFG_GATEWAY_CA_FILE),
        .inflight_max = (unsigned)cfg_int(cfg, CFG_GATEWAY_INFLIGHT),
        .timeout_ms = (uint32_t)cfg_int(cfg, CFG_GATEWAY_TIMEOUT)};
    return stripe_new(loop, &options);
}
