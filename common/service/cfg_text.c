#include "common/service/cfg_impl.h"

#include <string.h>

#include "common/base/err.h"
#include "common/net/url.h"

#define COLUMNS 80
#define INDENT "      "

/* Appends `text` as a paragraph, indented and wrapped. */
static void wrap(struct buf *out, const char *text)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > COLUMNS) {
            (void)buf_char(out, '\n');
            column = 0;
        }
        (void)buf_str(out, column == 0 ? INDENT : " ");
        (void)buf_append(out, text, word);
        column += (column == 0 ? sizeof INDENT - 1 : 1) + word;
        text += word;
        while (*text == ' ')
            text++;
    }
    (void)buf_char(out, '\n');
}

static void append_ms(struct buf *out, int64_t ms)
{
    if (ms % 3600000 == 0)
        (void)buf_printf(out, "%lldh", (long long)(ms / 3600000));
    else if (ms % 60000 == 0)
        (void)buf_printf(out, "%lldm", (long long)(ms / 60000));
    else if (ms % 1000 == 0)
        (void)buf_printf(out, "%llds", (long long)(ms / 1000));
    else
        (void)buf_printf(out, "%lldms", (long long)ms);
}

static void append_limits(const struct cfg_row *row, struct buf *out)
{
    if (row->type == CFG_TYPE_INTEGER || row->type == CFG_TYPE_POWER_OF_TWO) {
        (void)buf_printf(out, " (%lld to %lld)", (long long)row->low, (long long)row->high);
    } else if (row->type == CFG_TYPE_DURATION) {
        (void)buf_str(out, " (");
        append_ms(out, row->low);
        (void)buf_str(out, " to ");
        append_ms(out, row->high);
        (void)buf_char(out, ')');
    }
}

static void help_row(const struct cfg_row *row, struct buf *out)
{
    (void)buf_printf(out, "  %s", row->name);
    if (row->def == NULL)
        (void)buf_str(out, "  (must be set)");
    else if (row->def[0] != '\0')
        (void)buf_printf(out, "=%s", row->def);
    (void)buf_char(out, '\n');
    struct buf text;
    buf_init(&text, 1024);
    (void)buf_str(&text, row->help);
    append_limits(row, &text);
    wrap(out, buf_text(&text));
    buf_free(&text);
}

int cfg_help(uint32_t program, struct buf *out)
{
    for (size_t i = 0; i < CFG_COUNT; i++)
        if ((cfg_rows[i].programs & program) != 0)
            help_row(&cfg_rows[i], out);
    return out->failed ? ERR_FULL : 0;
}

/* A URL, or a list of them separated by commas. */
static void hide_passwords(const char *urls, bool list, struct buf *out)
{
    for (;; urls++) {
        size_t len = list ? strcspn(urls, ",") : strlen(urls);
        (void)url_hide_password(urls, len, out);
        urls += len;
        if (*urls == '\0')
            return;
        (void)buf_char(out, ',');
    }
}

int cfg_dump(const struct cfg *cfg, struct buf *out)
{
    for (size_t i = 0; i < CFG_COUNT; i++) {
        const struct cfg_row *row = &cfg_rows[i];
        if ((row->programs & cfg->program) == 0)
            continue;
        (void)buf_printf(out, "%s=", row->name);
        if (row->type == CFG_TYPE_AMQP_URLS || row->type == CFG_TYPE_DATABASE_URL ||
            row->type == CFG_TYPE_REDIS_URL)
            hide_passwords(cfg_str(cfg, (enum cfg_id)i), row->type == CFG_TYPE_AMQP_URLS, out);
        else
            (void)buf_str(out, cfg_str(cfg, (enum cfg_id)i));
        (void)buf_char(out, '\n');
    }
    return out->failed ? ERR_FULL : 0;
}
