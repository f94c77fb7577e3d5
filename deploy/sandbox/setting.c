#include "deploy/sandbox/setting.h"

#include <string.h>

#include "common/base/err.h"

#define MS_MAX 600000
#define RATE_MAX 1000 /* limit.c remembers so many */
#define PROCESSING_MS 3000
#define KEY_SECONDS (24 * 3600)

static const char *const charges_texts[] = {
#define SETTING_TEXT(name, text) text,
    SETTING_CHARGES_MAP(SETTING_TEXT)
#undef SETTING_TEXT
};

static const char *const refunds_texts[] = {
#define SETTING_TEXT(name, text) text,
    SETTING_REFUNDS_MAP(SETTING_TEXT)
#undef SETTING_TEXT
};

struct count {
    const char *name;
    size_t offset;
    uint32_t least;
    uint32_t most;
};

static const struct count counts[] = {
    {"processing_ms", offsetof(struct settings, processing_ms), 0, MS_MAX},
    {"list_late_ms", offsetof(struct settings, list_late_ms), 0, MS_MAX},
    {"key_seconds", offsetof(struct settings, key_seconds), 0, UINT32_MAX},
    {"rate_endpoint", offsetof(struct settings, rate_endpoint), 0, RATE_MAX},
    {"rate_all", offsetof(struct settings, rate_all), 0, RATE_MAX},
    {"missing_method", offsetof(struct settings, missing_method), 400, 404},
};

static const struct {
    const char *name;
    size_t offset;
} chances[] =
    {
        {"keep_refused", offsetof(struct settings, keep_refused)},
        {"keep_invalid", offsetof(struct settings, keep_invalid)},
},
  flags[] = {
      {"consume", offsetof(struct settings, consume)},
      {"amounts", offsetof(struct settings, amounts)},
      {"return_url", offsetof(struct settings, return_url)},
      {"livemode", offsetof(struct settings, livemode)},
      {"cancel_processing", offsetof(struct settings, cancel_processing)},
      {"all_events", offsetof(struct settings, all_events)},
};

static void set_truthful(struct settings *settings, bool truthful)
{
    settings->consume = truthful;
    settings->amounts = truthful;
    settings->return_url = truthful;
    settings->missing_method = truthful ? 404 : 400;
    settings->keep_refused = truthful ? 1 : 0;
}

void settings_init(struct settings *settings)
{
    *settings = (struct settings){.processing_ms = PROCESSING_MS, .key_seconds = KEY_SECONDS};
    set_truthful(settings, true);
}

void settings_calm(struct settings *settings)
{
    settings->charges = CHARGES_OK;
    settings->refunds = REFUNDS_OK;
    settings->list_late_ms = 0;
}

/* ---- reading ---- */

static int wrong(struct buf *problem, const char *name, const char *why)
{
    (void)buf_printf(problem, "%s %s", name, why);
    return ERR_PARSE;
}

static int read_choice(const char *name, const json_t *value, const char *const *texts,
                       size_t count, unsigned *ret_choice, struct buf *problem)
{
    const char *text = json_string_value(value);
    for (size_t i = 0; text != NULL && i < count; i++) {
        if (strcmp(text, texts[i]) == 0) {
            *ret_choice = (unsigned)i;
            return 0;
        }
    }
    return wrong(problem, name, "is none of its words");
}

static int read_count(const struct count *count, const json_t *value, void *settings,
                      struct buf *problem)
{
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < count->least || number > count->most)
        return wrong(problem, count->name, "is no whole number in its range");
    *(uint32_t *)((char *)settings + count->offset) = (uint32_t)number;
    return 0;
}

static int read_chance(const char *name, const json_t *value, double *ret_chance,
                       struct buf *problem)
{
    double chance = json_number_value(value);
    if (!json_is_number(value) || !(chance >= 0 && chance <= 1))
        return wrong(problem, name, "needs a chance from 0 to 1");
    *ret_chance = chance;
    return 0;
}

static int read_flag(const char *name, const json_t *value, bool *ret_flag, struct buf *problem)
{
    if (!json_is_boolean(value))
        return wrong(problem, name, "is true or false");
    *ret_flag = json_is_true(value);
    return 0;
}

static int read_words(struct settings *settings, const char *name, const json_t *value,
                      struct buf *problem)
{
    unsigned choice = 0;
    int code = ERR_NOT_FOUND;
    if (strcmp(name, "charges") == 0) {
        code = read_choice(name, value, charges_texts, ARRAY_LEN(charges_texts), &choice, problem);
        if (code == 0)
            settings->charges = (enum setting_charges)choice;
    } else if (strcmp(name, "refunds") == 0) {
        code = read_choice(name, value, refunds_texts, ARRAY_LEN(refunds_texts), &choice, problem);
        if (code == 0)
            settings->refunds = (enum setting_refunds)choice;
    }
    return code;
}

int settings_read(struct settings *settings, const char *name, const json_t *value,
                  struct buf *ret_problem)
{
    char *base = (char *)settings;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        if (strcmp(name, counts[i].name) == 0)
            return read_count(&counts[i], value, settings, ret_problem);
    for (size_t i = 0; i < ARRAY_LEN(chances); i++)
        if (strcmp(name, chances[i].name) == 0)
            return read_chance(name, value, (double *)(void *)(base + chances[i].offset),
                               ret_problem);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (strcmp(name, flags[i].name) == 0)
            return read_flag(name, value, (bool *)(base + flags[i].offset), ret_problem);
    if (strcmp(name, "truthful") != 0)
        return read_words(settings, name, value, ret_problem);
    bool truthful = false;
    int code = read_flag(name, value, &truthful, ret_problem);
    if (code == 0)
        set_truthful(settings, truthful);
    return code;
}

void settings_write(const struct settings *settings, struct buf *out)
{
    const char *base = (const char *)settings;
    (void)buf_printf(out, ",\"charges\":\"%s\",\"refunds\":\"%s\"",
                     charges_texts[settings->charges], refunds_texts[settings->refunds]);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        (void)buf_printf(out, ",\"%s\":%u", counts[i].name,
                         *(const uint32_t *)(const void *)(base + counts[i].offset));
    for (size_t i = 0; i < ARRAY_LEN(chances); i++)
        (void)buf_printf(out, ",\"%s\":%g", chances[i].name,
                         *(const double *)(const void *)(base + chances[i].offset));
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        (void)buf_printf(out, ",\"%s\":%s", flags[i].name,
                         *(const bool *)(base + flags[i].offset) ? "true" : "false");
}
