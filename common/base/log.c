#include "common/base/log.h"

#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/utf8.h"

#define LOG_LINE_MAX 8192
#define LOG_VALUE_MAX 1024

static struct {
    const char *program;
    enum log_level lowest;
    struct buf line;
} state = {"checkout", LOG_LEVEL_INFO, {.max = LOG_LINE_MAX}};

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_DEBUG:
        return "debug";
    case LOG_LEVEL_INFO:
        return "info";
    case LOG_LEVEL_WARNING:
        return "warning";
    case LOG_LEVEL_ERROR:
        return "error";
    }
    return "error";
}

void log_open(const char *program, enum log_level lowest)
{
    state.program = program;
    state.lowest = lowest;
}

static size_t bounded_len(const char *text)
{
    size_t len = strnlen(text, LOG_VALUE_MAX);
    return text[len] == '\0' ? len : utf8_cut(text, len);
}

static void append_value(struct buf *line, const struct log_field *field)
{
    switch (field->type) {
    case LOG_FIELD_STR:
        if (field->str == NULL)
            (void)buf_str(line, "null");
        else
            (void)buf_json_strn(line, field->str, bounded_len(field->str));
        return;
    case LOG_FIELD_INT:
        (void)buf_int(line, field->number);
        return;
    case LOG_FIELD_BOOL:
        (void)buf_str(line, field->number != 0 ? "true" : "false");
        return;
    case LOG_FIELD_END:
        return;
    }
}

void log_fields(enum log_level level, const char *event, const struct log_field *fields)
{
    if (level < state.lowest)
        return;
    struct buf *line = &state.line;
    char now[CLOCK_RFC3339_SIZE];
    clock_rfc3339(clock_wall_ms(), now);
    buf_reset(line);
    (void)buf_printf(line, "{\"time\":\"%s\",\"level\":\"%s\",\"program\":", now,
                     level_name(level));
    (void)buf_json_str(line, state.program);
    (void)buf_printf(line, ",\"pid\":%d,\"event\":", (int)getpid());
    (void)buf_json_str(line, event);
    for (const struct log_field *field = fields; field->type != LOG_FIELD_END; field++) {
        (void)buf_char(line, ',');
        (void)buf_json_str(line, field->name);
        (void)buf_char(line, ':');
        append_value(line, field);
    }
    (void)buf_str(line, "}\n");
    /* there is no other place to report that stderr cannot be written */
    ssize_t written = write(STDERR_FILENO, buf_text(line), line->len);
    (void)written;
}
