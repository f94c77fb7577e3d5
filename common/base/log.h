/*
 * One JSON object per line on stderr: time, level, program, event, then the fields given.
 * Never pass a token, a payment method or an e-mail address.
 */
#ifndef COMMON_BASE_LOG_H
#define COMMON_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

enum log_field_type {
    LOG_FIELD_END,
    LOG_FIELD_STR,
    LOG_FIELD_INT,
    LOG_FIELD_BOOL,
    LOG_FIELD_TRACE
};

struct log_field {
    const char *name;
    enum log_field_type type;
    const char *str;
    int64_t number;
};

#define LOG_STR(name, value) ((struct log_field){(name), LOG_FIELD_STR, (value), 0})
/* trace_id, of a traceparent (W3C Trace Context, version 00); left out if it is NULL or "". */
#define LOG_TRACE(traceparent) ((struct log_field){"trace_id", LOG_FIELD_TRACE, (traceparent), 0})
#define LOG_INT(name, value) ((struct log_field){(name), LOG_FIELD_INT, NULL, (int64_t)(value)})
#define LOG_BOOL(name, value) ((struct log_field){(name), LOG_FIELD_BOOL, NULL, (value) ? 1 : 0})

/* Both strings must live as long as the program. Lines below `lowest` are not written. Look at
 * log_sink.h for what happens when no one reads standard error. */
void log_open(const char *program, enum log_level lowest);

/* Writes one line with one write(2), at most LOG_LINE_MAX bytes: fields that do not fit are left
 * out. A NULL string is written as null; long ones are cut at 1 KiB. Never waits: a line that
 * cannot be written now is lost and counted; "log lines lost" is the first line that can. */
void log_fields(enum log_level level, const char *event, const struct log_field *fields);

/* Since the start. */
uint64_t log_lines_lost(void);

/* For a line that may come often: whether it may be written now, at most once in `each_ms`. Then it
 * notes the time (monotonic) in *last_ms, which is 0 at first. */
bool log_due(uint64_t *last_ms, uint64_t each_ms);

/* log_info("order accepted", LOG_STR("order_id", id), LOG_INT("jobs", n)); the fields may be
 * absent. */
#define LOG_WITH(level, event, ...)                                                                \
    log_fields(                                                                                    \
        (level), (event),                                                                          \
        (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){NULL, LOG_FIELD_END, NULL, 0}})
#define log_debug(event, ...) LOG_WITH(LOG_LEVEL_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...) LOG_WITH(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_warning(event, ...) LOG_WITH(LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_error(event, ...) LOG_WITH(LOG_LEVEL_ERROR, event, __VA_ARGS__)

#endif
