#include "ctl/gateway.h"

#include "common/base/err.h"
#include "common/pay/stripe/stripe.h"

#define TRIES 4
#define TRY_AGAIN_MS 1000

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

static bool passes(int code)
{
    return code == ERR_UNAVAILABLE || code == ERR_TIMEOUT || code == ERR_CLOSED || code == ERR_IO;
}

int gateway_ask(struct ctl *ctl, gateway_ask_cb ask, void *arg, int *code)
{
    for (int tries = 1;; tries++) {
        *code = ask(arg);
        if (*code == 0)
            loop_run(ctl->loop);
        if (!passes(*code) || tries == TRIES)
            return *code;
        if (ctl_rest(ctl, TRY_AGAIN_MS) != CTL_FINE)
            return *code = ERR_NOMEM;
    }
}
