/* checkout-sandbox-gateway: a payment gateway to try Checkout against. No money moves. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/loop.h"
#include "common/base/version.h"
#include "common/service/process.h"
#include "common/service/stop.h"
#include "deploy/sandbox/gateway.h"
#include "deploy/sandbox/options.h"

#define PROBLEM_MAX 1024
#define KEY_SIZE 512
#define TLS_FILE_MAX 65536
#define EXIT_SETTING 2
#define DRAIN_MS 5000

struct program {
    struct loop *loop;
    struct gateway *gateway;
    struct loop_timer *patience; /* while draining */
    int exit_code;
};

/* The first line of the file. */
static int read_key(const char *option, const char *path, char *ret_key, struct buf *problem)
{
    FILE *file = fopen(path, "re");
    if (file == NULL || fgets(ret_key, KEY_SIZE, file) == NULL) {
        (void)buf_printf(problem, "%s: cannot read %s: %s", option, path,
                         file == NULL ? strerror(errno) : "it is empty");
        if (file != NULL)
            (void)fclose(file); /* only read */
        return ERR_CONFIG;
    }
    (void)fclose(file); /* only read */
    ret_key[strcspn(ret_key, "\r\n")] = '\0';
    if (ret_key[0] != '\0')
        return 0;
    (void)buf_printf(problem, "%s: the first line of %s is empty", option, path);
    return ERR_CONFIG;
}

/* All of the file, ended by NUL. */
static int read_tls(const char *path, char ret_pem[TLS_FILE_MAX], struct buf *problem)
{
    FILE *file = fopen(path, "re");
    size_t len = file == NULL ? 0 : fread(ret_pem, 1, TLS_FILE_MAX - 1, file);
    if (file != NULL)
        (void)fclose(file); /* only read */
    ret_pem[len] = '\0';
    if (len > 0)
        return 0;
    (void)buf_printf(problem, "--tls: cannot read %s", path);
    return ERR_CONFIG;
}

static void leave(void *arg)
{
    struct program *program = arg;
    loop_stop(program->loop);
}

static void broken(void *arg)
{
    struct program *program = arg;
    program->exit_code = EXIT_FAILURE;
    loop_stop(program->loop);
}

static void stop_asked(void *arg)
{
    struct program *program = arg;
    log_info("leaving");
    stop_notify_stopping();
    loop_timer_start(program->patience, DRAIN_MS, 0);
    gateway_drain(program->gateway, leave, program);
}

static void serve(struct program *program, const struct options *options)
{
    bool ipv6 = strchr(options->host, ':') != NULL;
    (void)printf(ipv6 ? "%s://[%s]:%u\n" : "%s://%s:%u\n",
                 options->tls_file == NULL ? "http" : "https", options->host,
                 gateway_port(program->gateway));
    (void)fflush(stdout);
    log_info("serving", LOG_STR("host", options->host),
             LOG_INT("port", gateway_port(program->gateway)), LOG_STR("ledger", options->ledger));
    if (options->key_file == NULL)
        log_warning("no key file: accepting every key");
    stop_notify_ready();
    loop_run(program->loop);
}

static int run(const struct options *options, const char *key, const char *pem,
               const char *webhook_secret, struct buf *problem)
{
    struct program program = {.loop = loop_new(), .exit_code = EXIT_SUCCESS};
    uint64_t seed = options->seed;
    if (!options->seeded && getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = clock_mono_us();
    const struct gateway_options gateway = {.host = options->host,
                                            .port = options->port,
                                            .ledger = options->ledger,
                                            .secret_key = key,
                                            .tls_certificate = pem,
                                            .tls_key = pem,
                                            .bank_url = options->bank_url,
                                            .webhook_url = options->webhook_url,
                                            .webhook_secret = webhook_secret,
                                            .api_version = options->api_version,
                                            .control = options->control,
                                            .latency_ms = options->latency_ms,
                                            .seed = seed,
                                            .broken = broken,
                                            .arg = &program};
    struct stop *stop = NULL;
    int code = program.loop == NULL ? ERR_NOMEM : 0;
    if (code == 0) {
        stop = stop_new(program.loop, 0, stop_asked, &program);
        program.patience = loop_timer_new(program.loop, leave, &program);
        code = stop == NULL || program.patience == NULL
                   ? ERR_NOMEM
                   : gateway_open(program.loop, &gateway, &program.gateway, problem);
    }
    if (code == 0)
        serve(&program, options);
    gateway_close(program.gateway);
    loop_timer_free(program.patience);
    stop_free(stop);
    loop_free(program.loop);
    if (code == ERR_NOMEM && problem->len == 0)
        (void)buf_str(problem, "out of memory");
    return code < 0 ? EXIT_SETTING : program.exit_code;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    char key[KEY_SIZE] = "", webhook_secret[KEY_SIZE] = "";
    static char pem[TLS_FILE_MAX];
    struct buf problem;
    buf_init(&problem, PROBLEM_MAX);
    process_begin();
    log_open("checkout-sandbox-gateway", LOG_LEVEL_INFO);
    int exit_code = EXIT_SETTING;
    if (options_read(argc, argv, getenv, &options, &problem) == 0) {
        if (options.help)
            exit_code = fputs(options_help, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        else if (options.version)
            exit_code = puts("checkout-sandbox-gateway " CHECKOUT_VERSION) < 0 ? EXIT_FAILURE
                                                                               : EXIT_SUCCESS;
        else if ((options.key_file == NULL ||
                  read_key("--key-file", options.key_file, key, &problem) == 0) &&
                 (options.webhook_secret == NULL ||
                  read_key("--webhook-secret", options.webhook_secret, webhook_secret, &problem) ==
                      0) &&
                 (options.tls_file == NULL || read_tls(options.tls_file, pem, &problem) == 0))
            exit_code =
                run(&options, key, options.tls_file == NULL ? NULL : pem, webhook_secret, &problem);
    }
    if (problem.len > 0)
        (void)fprintf(stderr, "checkout-sandbox-gateway: %s\n", buf_text(&problem));
    explicit_bzero(key, sizeof key);
    explicit_bzero(webhook_secret, sizeof webhook_secret);
    explicit_bzero(pem, sizeof pem);
    buf_free(&problem);
    return process_end(exit_code);
}
