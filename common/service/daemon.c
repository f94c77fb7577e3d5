#include "common/service/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/service/admin.h"
#include "common/service/loop_lag.h"
#include "common/service/process.h"
#include "common/service/span_settings.h"
#include "common/service/stop.h"

/* How a start goes: on, or to the end of the process with an exit code. */
enum start { START_GOES_ON, START_DONE, START_FAILED, START_MISUSED };
static const int exit_codes[] = {
    [START_GOES_ON] = 0, [START_DONE] = 0, [START_FAILED] = 1, [START_MISUSED] = 2};

#define TEXT_MAX ((size_t)64 * 1024)
#define PROBLEM_MAX 1024
#define LABELS_SIZE 48
#define FIRST_CONTACT_MS 3000
#define FIRST_CONTACT_NAME "checkout start check"

static enum start print(const struct buf *text)
{
    bool written = fwrite(buf_text(text), 1, text->len, stdout) == text->len && fflush(stdout) == 0;
    return written && !text->failed ? START_DONE : START_FAILED;
}

static enum start help(const struct daemon_program *program)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    (void)buf_printf(&text,
                     "usage: %s [--help | --version | --check-config]\n\n%s\n\n"
                     "  --help          this text\n"
                     "  --version       the version\n"
                     "  --check-config  check the settings, show them (no secret among them), and "
                     "end\n\n"
                     "It runs in the foreground, logs one JSON object a line on stderr, and on "
                     "SIGTERM\nfinishes its work and ends. Settings are environment variables:\n\n",
                     program->name, program->summary);
    (void)cfg_help(program->cfg_program, &text); /* a failure sticks to the buffer */
    enum start end = print(&text);
    buf_free(&text);
    return end;
}

static enum start check_config(const struct cfg *cfg)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    (void)cfg_dump(cfg, &text); /* a failure sticks to the buffer */
    enum start end = print(&text);
    buf_free(&text);
    return end;
}

static enum start usage(const struct daemon_program *program, const char *word)
{
    (void)fprintf(stderr, "%s: unknown argument %s; see --help\n", program->name, word);
    return START_MISUSED;
}

static enum start complain(const struct daemon_program *program, const struct buf *problems)
{
    cfg_complain(program->name, problems);
    return START_MISUSED;
}

/* Contacts the servers side by side. Fills the problem if a setting is wrong. */
static int meet_servers(const struct daemon_program *program, struct loop *loop,
                        const struct cfg *cfg, struct buf *problem)
{
    struct contact contacts[DAEMON_SERVERS_MAX];
    size_t count = 0;
    int code = 0;
    for (; count < DAEMON_SERVERS_MAX && program->servers[count] != NULL; count++)
        contact_begin(&contacts[count], program->servers[count], loop, cfg, FIRST_CONTACT_NAME);
    contact_await(contacts, count,
                  program->contact_ms > 0 ? program->contact_ms : FIRST_CONTACT_MS);
    for (size_t i = 0; i < count; i++) {
        bool wrong = contacts[i].state == CONTACT_WRONG || contacts[i].state == CONTACT_UNSUITED;
        if (wrong && code == 0) {
            (void)buf_printf(problem, "%s: %s", cfg_name(contacts[i].kind->setting),
                             contacts[i].reason);
            code = ERR_CONFIG;
        }
        contact_end(&contacts[i]);
    }
    return code;
}

/* A resolver may still be busy for a closed client: its answer comes to this loop later. */
static enum start try_servers(const struct daemon_program *program, struct daemon *daemon)
{
    struct buf problem;
    buf_init(&problem, PROBLEM_MAX);
    int code = meet_servers(program, daemon->loop, daemon->cfg, &problem);
    enum start end = code < 0 ? complain(program, &problem) : START_GOES_ON;
    buf_free(&problem);
    if (end != START_GOES_ON)
        daemon_close(daemon);
    return end;
}

static enum start load(const struct daemon_program *program, struct cfg **ret_cfg)
{
    struct buf problem;
    buf_init(&problem, CFG_PROBLEMS_SIZE);
    int code = cfg_load(program->cfg_program, environ, ret_cfg, &problem);
    enum start end = code < 0 ? complain(program, &problem) : START_GOES_ON;
    buf_free(&problem);
    return end;
}

static enum start failed(struct daemon *daemon, const char *what)
{
    log_error("cannot start", LOG_STR("problem", what));
    daemon_close(daemon);
    return START_FAILED;
}

static enum start open_admin(const struct daemon_program *program, struct daemon *daemon)
{
    const char *host = cfg_host(daemon->cfg, CFG_ADMIN_LISTEN);
    if (host[0] == '\0')
        return START_GOES_ON; /* not a setting of this program */
    uint16_t port = cfg_port(daemon->cfg, CFG_ADMIN_LISTEN);
    errno = 0;
    if (admin_open(daemon->loop, host, port, daemon->metrics, program->ready, program->arg,
                   &daemon->admin) == 0)
        return START_GOES_ON;
    (void)fprintf(stderr, "%s: %s: cannot listen on %s: %s\n", program->name,
                  cfg_name(CFG_ADMIN_LISTEN), cfg_str(daemon->cfg, CFG_ADMIN_LISTEN),
                  strerror(errno));
    daemon_close(daemon);
    return START_MISUSED;
}

/* An alarm finds by it which programs are not scraped. */
static void name_program(const struct daemon *daemon)
{
    char labels[LABELS_SIZE];
    (void)snprintf(labels, sizeof labels, "program=\"%s\"", daemon->name + sizeof "checkout-" - 1);
    metric_set(metrics_gauge(daemon->metrics, "checkout_program_info",
                             "Which program this is, as heartbeats name it.", labels),
               1);
}

static int open_spans(struct daemon *daemon)
{
    if (cfg_str(daemon->cfg, CFG_OTLP_TIMEOUT)[0] == '\0')
        return 0; /* not a setting of this program */
    return spans_open(daemon->loop, daemon->metrics, daemon->cfg, daemon->name, &daemon->spans);
}

static enum start assemble(const struct daemon_program *program, struct cfg *cfg,
                           struct daemon *ret_daemon)
{
    struct daemon daemon = {.name = program->name, .cfg = cfg};
    bool has_level = cfg_str(cfg, CFG_LOG_LEVEL)[0] != '\0'; /* it is a setting of this program */
    log_open(program->name,
             has_level ? (enum log_level)cfg_int(cfg, CFG_LOG_LEVEL) : LOG_LEVEL_INFO);
    daemon.loop = loop_new();
    daemon.metrics = metrics_new();
    if (daemon.loop == NULL || daemon.metrics == NULL)
        return failed(&daemon, "out of memory");
    name_program(&daemon);
    enum start end = try_servers(program, &daemon);
    if (end != START_GOES_ON)
        return end;
    bool has_delay = cfg_str(cfg, CFG_DRAIN_DELAY)[0] != '\0';
    uint64_t delay_ms = has_delay ? (uint64_t)cfg_int(cfg, CFG_DRAIN_DELAY) : 0;
    daemon.stop = stop_new(daemon.loop, delay_ms, program->drain, program->arg);
    if (daemon.stop == NULL)
        return failed(&daemon, "cannot listen to signals");
    daemon.lag = loop_lag_new(daemon.loop, daemon.metrics);
    if (daemon.lag == NULL || open_spans(&daemon) < 0)
        return failed(&daemon, "out of memory");
    end = open_admin(program, &daemon);
    if (end == START_GOES_ON)
        *ret_daemon = daemon;
    return end;
}

static enum start start(const struct daemon_program *program, int argc, char **argv,
                        struct daemon *ret_daemon)
{
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return help(program);
    if (strcmp(word, "--version") == 0) {
        (void)printf("%s %s\n", program->name, CHECKOUT_VERSION);
        return START_DONE;
    }
    bool check = strcmp(word, "--check-config") == 0;
    if (argc > (check ? 2 : 1))
        return usage(program, argv[check ? 2 : 1]);
    struct cfg *cfg = NULL;
    enum start end = load(program, &cfg);
    if (end != START_GOES_ON)
        return end;
    if (!check)
        return assemble(program, cfg, ret_daemon);
    end = check_config(cfg);
    cfg_free(cfg);
    return end;
}

bool daemon_open(const struct daemon_program *program, int argc, char **argv,
                 struct daemon *ret_daemon, int *ret_exit_code)
{
    process_begin();
    process_end_on_signal();
    enum start end = start(program, argc, argv, ret_daemon);
    if (end != START_GOES_ON)
        *ret_exit_code = exit_codes[end];
    return end == START_GOES_ON;
}

void daemon_close(struct daemon *daemon)
{
    admin_close(daemon->admin);
    loop_lag_free(daemon->lag);
    stop_free(daemon->stop);
    spans_close(daemon->spans); /* runs the loop: nothing else may be on it */
    loop_free(daemon->loop);
    metrics_free(daemon->metrics);
    cfg_free(daemon->cfg);
}
