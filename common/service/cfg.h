/*
 * Settings: environment variables CHECKOUT_*, declared in cfg_table.h, which also makes --help and
 * --check-config. A program does not start with a wrong value, or with a CHECKOUT_* variable that
 * no program knows.
 */
#ifndef COMMON_SERVICE_CFG_H
#define COMMON_SERVICE_CFG_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/rate.h"
#include "common/service/cfg_table.h"

enum cfg_id {
#define CFG_ENUM(id, name, type, def, low, high, programs, help) CFG_##id,
    CFG_TABLE(CFG_ENUM)
#undef CFG_ENUM
        CFG_COUNT
};

struct cfg;

#define CFG_HEADERS_MAX 8                     /* lines of a SECRET_HEADERS_FILE */
#define CFG_PROBLEMS_SIZE ((size_t)16 * 1024) /* holds a line for each setting */

/* A set of settings, and the bit of one in it. */
typedef unsigned __int128 cfg_set;
#define CFG_BIT(id) ((cfg_set)1 << CFG_##id)
#define CFG_EVERY (~(cfg_set)0)
_Static_assert(CFG_COUNT <= 128, "a set of settings is a 128-bit mask");

/*
 * Reads and checks the settings that `program` (one CFG_* program bit) uses from `environment` (as
 * environ: NAME=VALUE, NULL at the end). A DURATION is a number with ms, s, m or h. It reads the
 * content of a SECRET_FILE (without one trailing newline; of a SECRET_WORD_FILE without any white
 * space behind it), whose bounds are those of its length. 0, or ERR_CONFIG with one line in
 * `ret_problem` for each wrong or missing setting (of the CFG_PROBLEMS_SIZE bytes that it should
 * hold), which names the variable and never shows a secret (nor a URL's password).
 */
MUST_CHECK int cfg_load(uint32_t program, char *const *environment, struct cfg **ret_cfg,
                        struct buf *ret_problem);
/* The same for a command that needs only the settings in `needed` (CFG_BIT | …): it ignores others
 * that are absent, wrong, or files that it cannot read. */
MUST_CHECK int cfg_load_some(uint32_t program, cfg_set needed, char *const *environment,
                             struct cfg **ret_cfg, struct buf *ret_problem);
/* Prints the lines of `problems` on standard error, each behind the program's name. */
void cfg_complain(const char *program, const struct buf *problems);
/* Wipes the secrets. NULL is allowed. */
void cfg_free(struct cfg *cfg);

/* The variable's name, CHECKOUT_…; static storage. */
const char *cfg_name(enum cfg_id id);
/* Text of any setting except a secret's content; "" when absent. Lives as long as `cfg`. */
const char *cfg_str(const struct cfg *cfg, enum cfg_id id);
/* A number; of a duration: milliseconds; of a ratio: millionths. */
int64_t cfg_int(const struct cfg *cfg, enum cfg_id id);
/* A RATE. */
struct rate cfg_rate(const struct cfg *cfg, enum cfg_id id);
/* Content of a SECRET_FILE. */
const char *cfg_secret(const struct cfg *cfg, enum cfg_id id, size_t *ret_len);
/* Host and port of an ADDRESS ("127.0.0.1:8080", "[::1]:8080"). Lives as long as `cfg`. */
const char *cfg_host(const struct cfg *cfg, enum cfg_id id);
uint16_t cfg_port(const struct cfg *cfg, enum cfg_id id);

/* Reads a number with ms, s, m or h, as a DURATION is written. 0 or ERR_PARSE. */
MUST_CHECK int cfg_parse_duration(const char *text, int64_t *ret_ms);
/* The settings of `program` for --help: name, default, help, limits; wrapped at 80 columns. */
int cfg_help(uint32_t program, struct buf *out);
/* Every setting as a file of systemd's EnvironmentFile= or a shell: help, programs, and the default
 * as a comment. What must be set is no comment: it is empty, but for secrets, which get a usual
 * path. */
int cfg_example(struct buf *out);
/* The settings in force for --check-config, secrets and passwords hidden: one NAME=value a line. */
int cfg_dump(const struct cfg *cfg, struct buf *out);

#endif
