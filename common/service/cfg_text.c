#include "common/service/cfg_impl.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "common/net/url.h"

#define COLUMNS 80
#define INDENT "      "

/* Appends `text` as a paragraph, wrapped; each line begins with `indent`. */
static void wrap(struct buf *out, const char *indent, const char *text)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > COLUMNS) {
            (void)buf_char(out, '\n');
            column = 0;
        }
        (void)buf_str(out, column == 0 ? indent : " ");
        (void)buf_append(out, text, word);
        column += (column == 0 ? strlen(indent) : 1) + word;
        text += word;
        while (*text == ' ')
            text++;
    }
    (void)buf_char(out, '\n');
}

static void append_ms(struct buf *out, int64_t ms)
{
    if (ms != 0 && ms % 3600000 == 0)
        (void)buf_printf(out, "%lldh", (long long)(ms / 3600000));
    else if (ms != 0 && ms % 60000 == 0)
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

/* What the setting is for, and its limits. */
static void append_explanation(const struct cfg_row *row, const char *indent, struct buf *out)
{
    struct buf text;
    buf_init(&text, 1024);
    (void)buf_str(&text, row->help);
    append_limits(row, &text);
    wrap(out, indent, buf_text(&text));
    buf_free(&text);
}

static void help_row(const struct cfg_row *row, struct buf *out)
{
    (void)buf_printf(out, "  %s", row->name);
    if (row->def == NULL)
        (void)buf_str(out, "  (must be set)");
    else if (row->def[0] != '\0')
        (void)buf_printf(out, "=%s", row->def);
    (void)buf_char(out, '\n');
    append_explanation(row, INDENT, out);
}

int cfg_help(uint32_t program, struct buf *out)
{
    for (size_t i = 0; i < CFG_COUNT; i++)
        if ((cfg_rows[i].programs & program) != 0)
            help_row(&cfg_rows[i], out);
    return out->failed ? ERR_FULL : 0;
}

static void append_programs(const struct cfg_row *row, struct buf *out)
{
    static const struct {
        uint32_t program;
        const char *name;
    } programs[] = {{CFG_PRODUCER, " checkout-producer"},
                    {CFG_CONSUMER, " checkout-consumer"},
                    {CFG_NOTIFIER, " checkout-notifier"},
                    {CFG_MAILER, " checkout-mailer"},
                    {CFG_WEBHOOKS, " checkout-webhooks"},
                    {CFG_CONSOLE, " checkout-console"},
                    {CFG_CTL, " checkoutctl"}};
    (void)buf_str(out, "# For");
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        if ((row->programs & programs[i].program) != 0)
            (void)buf_str(out, programs[i].name);
    (void)buf_str(out, row->def == NULL ? "; must be set.\n" : ".\n");
}

static void example_row(const struct cfg_row *row, struct buf *out)
{
    (void)buf_char(out, '\n');
    append_explanation(row, "# ", out);
    append_programs(row, out);
    if (row->def == NULL &&
        (row->type == CFG_TYPE_SECRET_FILE || row->type == CFG_TYPE_SECRET_WORD_FILE)) {
        (void)buf_printf(out, "%s=/etc/checkout/", row->name);
        for (const char *c = row->name + sizeof CFG_PREFIX - 1; strcmp(c, "_FILE") != 0; c++)
            (void)buf_char(out, (char)tolower((unsigned char)*c));
        (void)buf_char(out, '\n');
    } else {
        (void)buf_printf(out, "%s%s=%s\n", row->def == NULL ? "" : "#", row->name,
                         row->def == NULL ? "" : row->def);
    }
}

int cfg_example(struct buf *out)
{
    (void)buf_str(out, "# Settings of Checkout, for systemd's EnvironmentFile= or a shell:\n"
                       "#   set -a; . /etc/checkout/checkout.env; set +a; checkoutctl doctor\n"
                       "# Those of one process go to a file of its own, like producer-1.env.\n");
    for (size_t i = 0; i < CFG_COUNT; i++)
        if ((cfg_rows[i].programs & (CFG_DAEMONS | CFG_CTL)) != 0)
            example_row(&cfg_rows[i], out);
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
        bool list = row->type == CFG_TYPE_AMQP_URLS || row->type == CFG_TYPE_SMTP_URLS;
        if (list || row->type == CFG_TYPE_DATABASE_URL || row->type == CFG_TYPE_REDIS_URL)
            hide_passwords(cfg_str(cfg, (enum cfg_id)i), list, out);
        else
            (void)buf_str(out, cfg_str(cfg, (enum cfg_id)i));
        (void)buf_char(out, '\n');
    }
    return out->failed ? ERR_FULL : 0;
}

void cfg_complain(const char *program, const struct buf *problems)
{
    for (const char *line = buf_text(problems);;) {
        size_t len = strcspn(line, "\n");
        (void)fprintf(stderr, "%s: %.*s\n", program, (int)len, line);
        if (line[len] == '\0')
            return;
        line += len + 1;
    }
}
