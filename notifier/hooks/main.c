/* checkout-webhooks: sends the shop's backend what becomes of orders. Here its parts are tied
 * together. */
#include <signal.h>
#include <stdio.h>

#include "common/base/log.h"
#include "common/service/process.h"
#include "notifier/dispatch/dispatch_program.h"
#include "notifier/hooks/hooks.h"

struct hooks_program {
    struct dispatch_program common;
    struct hook_stats stats;
    struct networks *allowed;
    struct hook_secrets *secrets;
    struct loop_signal *hangup;
    struct hooks *hooks;
};

static void hung_up(void *arg)
{
    struct hooks_program *p = arg;
    log_info("SIGHUP: reading the keys of endpoints again");
    hook_secrets_reread(p->secrets);
}

static struct hooks *open_hooks(struct hooks_program *p)
{
    const struct cfg *cfg = p->common.daemon.cfg;
    return hooks_new(&(struct hooks_options){
        .loop = p->common.daemon.loop,
        .database_url = cfg_str(cfg, CFG_DATABASE_URL),
        .secrets = p->secrets,
        .allowed = p->allowed,
        .plain_http = cfg_int(cfg, CFG_HOOKS_HTTP) != 0,
        .ca_file = cfg_str(cfg, CFG_HOOKS_CA_FILE),
        .timeout_ms = (uint32_t)cfg_int(cfg, CFG_HOOKS_TIMEOUT),
        .inflight = (size_t)cfg_int(cfg, CFG_HOOKS_INFLIGHT),
        .give_up_ms = cfg_int(cfg, CFG_HOOKS_GIVE_UP),
        .pause_after_ms = cfg_int(cfg, CFG_HOOKS_PAUSE_AFTER),
        .keep_ms = cfg_int(cfg, CFG_HOOKS_KEEP),
        .stats = &p->stats,
        .place = cfg_str(cfg, CFG_ADMIN_LISTEN),
        .ready = dispatch_program_ready,
        .ready_arg = &p->common,
    });
}

static int start(struct hooks_program *p)
{
    const char *problem; /* the settings were checked */
    hook_stats_init(&p->stats, p->common.daemon.metrics);
    p->stats.dispatch.spans = p->common.daemon.spans;
    p->secrets = hook_secrets_new(cfg_str(p->common.daemon.cfg, CFG_HOOKS_SECRETS));
    p->hangup = loop_signal_new(p->common.daemon.loop, SIGHUP, hung_up, p);
    if (p->secrets != NULL && p->hangup != NULL &&
        networks_new(cfg_str(p->common.daemon.cfg, CFG_HOOKS_ALLOW), &p->allowed, &problem) == 0)
        p->hooks = open_hooks(p);
    if (p->hooks != NULL)
        return 0;
    log_error("cannot start", LOG_STR("problem", "out of memory"));
    return 1;
}

int main(int argc, char **argv)
{
    struct hooks_program p = {0};
    const struct daemon_program program = {
        .name = "checkout-webhooks",
        .summary = "Sends the shop's backend what becomes of orders, as signed webhooks.",
        .cfg_program = CFG_WEBHOOKS,
        .servers = {&contact_pg},
        .ready = dispatch_program_ready,
        .drain = dispatch_program_drain,
        .arg = &p.common,
    };
    int code;
    if (!daemon_open(&program, argc, argv, &p.common.daemon, &code))
        return process_end(code);
    code = start(&p);
    if (code == 0)
        dispatch_program_run(&p.common, hooks_dispatcher(p.hooks));
    hooks_free(p.hooks);
    hook_secrets_free(p.secrets);
    networks_free(p.allowed);
    loop_signal_free(p.hangup);
    daemon_close(&p.common.daemon);
    return process_end(code);
}
