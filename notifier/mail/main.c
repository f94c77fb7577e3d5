/* checkout-mailer: tells buyers by mail how their orders go. Here its parts are tied together. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/url.h"
#include "common/service/process.h"
#include "notifier/dispatch/dispatch_program.h"
#include "notifier/mail/mailer.h"

#define EXIT_SETTING 2
/* Threads for as many calls as CHECKOUT_MAIL_INFLIGHT may ask for, and look-ups of names beside
 * them: libuv makes them all at the first call. */
#define POOL_THREADS "72"
#define PROBLEM_MAX 1024
#define HOST_SIZE 256 /* with NUL */

struct mail_program {
    struct dispatch_program common;
    struct dispatch_stats stats;
    struct templates *templates;
    struct smtp_url servers[SMTP_URL_HOSTS_MAX];
    size_t server_count;
    char host[HOST_SIZE]; /* of this host; or "" */
    struct mailer *mailer;
};

static int complain(const struct mail_program *p, enum cfg_id setting, const char *problem)
{
    (void)fprintf(stderr, "%s: %s: %s\n", p->common.daemon.name, cfg_name(setting), problem);
    return EXIT_SETTING;
}

static int read_templates(struct mail_program *p)
{
    struct buf problem;
    buf_init(&problem, PROBLEM_MAX);
    int code = templates_read(cfg_str(p->common.daemon.cfg, CFG_MAIL_TEMPLATES), mail_text_names,
                              &p->templates, &problem);
    if (code < 0)
        code = complain(p, CFG_MAIL_TEMPLATES,
                        code == ERR_NOMEM ? err_text(code) : buf_text(&problem));
    buf_free(&problem);
    return code;
}

/* The name that mail servers hear of this host: some refuse each mail if it has no dot. */
static const char *own_name(struct mail_program *p)
{
    const char *name = cfg_str(p->common.daemon.cfg, CFG_SMTP_NAME);
    const char *shop = strchr(cfg_str(p->common.daemon.cfg, CFG_MAIL_FROM), '@') + 1;
    if (name[0] != '\0')
        return name;
    (void)gethostname(p->host, sizeof p->host - 1);
    return strchr(p->host, '.') == NULL && url_host_valid(shop) ? shop : p->host;
}

static struct mailer *open_mailer(struct mail_program *p)
{
    const struct cfg *cfg = p->common.daemon.cfg;
    return mailer_new(&(struct mailer_options){
        .loop = p->common.daemon.loop,
        .database_url = cfg_str(cfg, CFG_DATABASE_URL),
        .servers = p->servers,
        .server_count = p->server_count,
        .tls = cfg_int(cfg, CFG_SMTP_TLS) != 0,
        .ca_file = cfg_str(cfg, CFG_SMTP_CA_FILE),
        .name = own_name(p),
        .timeout_ms = (uint32_t)cfg_int(cfg, CFG_SMTP_TIMEOUT),
        .inflight = (size_t)cfg_int(cfg, CFG_MAIL_INFLIGHT),
        .per_address = cfg_int(cfg, CFG_MAIL_PER_ADDRESS),
        .give_up_ms = cfg_int(cfg, CFG_MAIL_GIVE_UP),
        .shop = {.from = cfg_str(cfg, CFG_MAIL_FROM),
                 .name = cfg_str(cfg, CFG_MAIL_FROM_NAME),
                 .page_url = cfg_str(cfg, CFG_MAIL_ORDER_URL)},
        .templates = p->templates,
        .stats = &p->stats,
        .place = cfg_str(cfg, CFG_ADMIN_LISTEN),
        .ready = dispatch_program_ready,
        .ready_arg = &p->common,
    });
}

static int start(struct mail_program *p)
{
    const char *problem = NULL;
    int count = smtp_url_parse(cfg_str(p->common.daemon.cfg, CFG_SMTP_URL), p->servers, &problem);
    if (count < 0)
        return complain(p, CFG_SMTP_URL, problem);
    p->server_count = (size_t)count;
    int code = read_templates(p);
    if (code != 0)
        return code;
    if (smtp_open() < 0)
        return 1;
    mail_stats_init(&p->stats, p->common.daemon.metrics);
    p->stats.spans = p->common.daemon.spans;
    p->mailer = open_mailer(p);
    if (p->mailer != NULL)
        return 0;
    log_error("cannot start", LOG_STR("problem", "out of memory"));
    return 1;
}

int main(int argc, char **argv)
{
    struct mail_program p = {0};
    const struct daemon_program program = {
        .name = "checkout-mailer",
        .summary = "Tells buyers by mail how their orders go.",
        .cfg_program = CFG_MAILER,
        .servers = {&contact_pg},
        .ready = dispatch_program_ready,
        .drain = dispatch_program_drain,
        .arg = &p.common,
    };
    int code;
    (void)setenv("UV_THREADPOOL_SIZE", POOL_THREADS, 1);
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* or libcurl makes no xn--… of domains beyond ASCII */
    if (!daemon_open(&program, argc, argv, &p.common.daemon, &code))
        return process_end(code);
    code = start(&p);
    if (code == 0)
        dispatch_program_run(&p.common, mailer_dispatcher(p.mailer));
    mailer_free(p.mailer);
    templates_free(p.templates);
    explicit_bzero(p.servers, sizeof p.servers);
    daemon_close(&p.common.daemon);
    return process_end(code);
}
