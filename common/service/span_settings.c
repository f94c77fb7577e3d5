#include "common/service/span_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/service/span_export.h"

#define DELAY_MS 1000
#define RETRY_MS 1000
#define FINISH_MS 1000
#define PROCESS_SIZE 128

_Static_assert(CFG_HEADERS_MAX <= SPAN_EXPORT_HEADERS, "each line of the file has a place");

struct opened {
    struct spans spans; /* first: it is found by them */
    struct span_export *export;
    char process[PROCESS_SIZE];
};

static struct span *add(void *arg)
{
    return span_export_add(arg);
}

static void name_process(char ret_name[PROCESS_SIZE])
{
    char host[64] = "";
    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(ret_name, PROCESS_SIZE, "%s:%ld", host, (long)getpid());
}

static struct span_export *open_export(struct loop *loop, struct metrics *metrics,
                                       const struct cfg *cfg, const struct span_source *source)
{
    size_t headers_len;
    const char *headers = cfg_secret(cfg, CFG_OTLP_HEADERS_FILE, &headers_len);
    const struct span_export_options options = {
        .loop = loop,
        .metrics = metrics,
        .endpoint = cfg_str(cfg, CFG_OTLP_ENDPOINT),
        .headers = headers,
        .ca_file = cfg_str(cfg, CFG_OTLP_CA_FILE),
        .timeout_ms = (uint32_t)cfg_int(cfg, CFG_OTLP_TIMEOUT),
        .source = *source,
        .delay_ms = DELAY_MS,
        .retry_ms = RETRY_MS,
    };
    return span_export_new(&options);
}

int spans_open(struct loop *loop, struct metrics *metrics, const struct cfg *cfg,
               const char *program, struct spans **ret_spans)
{
    int64_t ratio = cfg_int(cfg, CFG_TRACE_RATIO);
    bool has_endpoint = cfg_str(cfg, CFG_OTLP_ENDPOINT)[0] != '\0';
    *ret_spans = NULL;
    if (has_endpoint != (ratio > 0))
        log_warning(has_endpoint ? "CHECKOUT_TRACE_RATIO is 0: no spans are made"
                                 : "CHECKOUT_OTLP_ENDPOINT is not set: no spans are made");
    if (!has_endpoint || ratio == 0)
        return 0;
    struct opened *opened = calloc(1, sizeof *opened);
    if (opened == NULL)
        return ERR_NOMEM;
    name_process(opened->process);
    const struct span_source source = {.program = program, .process = opened->process};
    opened->export = open_export(loop, metrics, cfg, &source);
    if (opened->export == NULL) {
        free(opened);
        return ERR_NOMEM;
    }
    opened->spans =
        (struct spans){.millionths = (uint32_t)ratio, .add = add, .arg = opened->export};
    *ret_spans = &opened->spans;
    return 0;
}

void spans_close(struct spans *spans)
{
    struct opened *opened = (struct opened *)spans;
    if (opened == NULL)
        return;
    span_export_finish(opened->export, FINISH_MS);
    span_export_free(opened->export);
    free(opened);
}
