#include "common/base/log.h"

#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log_sink.h"
#include "common/base/utf8.h"

#define VALUE_MAX 1024
/* Of a traceparent: 00-<trace id>-<parent id>-<flags>. */
#define TRACE_ID_AT 3
#define TRACE_ID_LEN 32
#define END "}\n"
#define CUT ",\"cut\":true" END

static struct {
    const char *program;
    enum log_level lowest;
    struct buf line;
    uint64_t lost;
    uint64_t lost_reported;
} state = {"checkout", LOG_LEVEL_INFO, {.max = LOG_LINE_MAX}, 0, 0};

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
    log_sink_open();
}

static size_t bounded_len(const char *text)
{
    size_t len = strnlen(text, VALUE_MAX);
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
    case LOG_FIELD_TRACE:
        (void)buf_json_strn(line, field->str + TRACE_ID_AT, TRACE_ID_LEN);
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

static bool left_out(const struct log_field *field)
{
    return field->type == LOG_FIELD_TRACE &&
           (field->str == NULL ||
            strnlen(field->str, TRACE_ID_AT + TRACE_ID_LEN) < TRACE_ID_AT + TRACE_ID_LEN);
}

static void begin_line(struct buf *line, enum log_level level, const char *event)
{
    char now[CLOCK_RFC3339_SIZE];
    clock_rfc3339(clock_wall_ms(), now);
    buf_reset(line);
    line->max = LOG_LINE_MAX - (sizeof CUT - 1);
    (void)buf_printf(line, "{\"time\":\"%s\",\"level\":\"%s\",\"program\":", now,
                     level_name(level));
    (void)buf_json_str(line, state.program);
    (void)buf_printf(line, ",\"pid\":%d,\"event\":", (int)getpid());
    (void)buf_json_str(line, event);
}

/* A line stays JSON, however long its fields are: those that do not fit are left out. */
static void append_fields(struct buf *line, const struct log_field *fields)
{
    size_t whole = line->len;
    for (const struct log_field *field = fields; field->type != LOG_FIELD_END; field++) {
        if (left_out(field))
            continue;
        (void)buf_char(line, ',');
        (void)buf_json_str(line, field->name);
        (void)buf_char(line, ':');
        append_value(line, field);
        if (line->failed)
            break;
        whole = line->len;
    }
    bool cut = line->failed;
    line->len = whole;
    line->failed = false;
    line->max = LOG_LINE_MAX;
    (void)buf_str(line, cut ? CUT : END);
}

static bool write_line(enum log_level level, const char *event, const struct log_field *fields)
{
    struct buf *line = &state.line;
    begin_line(line, level, event);
    append_fields(line, fields);
    return log_sink_write(buf_text(line), line->len);
}

/* False: lines are lost still. */
static bool report_lost(void)
{
    if (state.lost == state.lost_reported)
        return true;
    const struct log_field fields[] = {LOG_INT("lines", state.lost - state.lost_reported),
                                       {NULL, LOG_FIELD_END, NULL, 0}};
    if (!write_line(LOG_LEVEL_WARNING, "log lines lost", fields))
        return false;
    state.lost_reported = state.lost;
    return true;
}

void log_fields(enum log_level level, const char *event, const struct log_field *fields)
{
    if (level < state.lowest)
        return;
    if (!report_lost() || !write_line(level, event, fields))
        state.lost++;
}

uint64_t log_lines_lost(void)
{
    return state.lost;
}

bool log_due(uint64_t *last_ms, uint64_t each_ms)
{
    uint64_t now_ms = clock_mono_ms();
    if (*last_ms != 0 && now_ms - *last_ms < each_ms)
        return false;
    *last_ms = now_ms;
    return true;
}
