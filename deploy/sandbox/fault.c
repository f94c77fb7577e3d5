#include "deploy/sandbox/fault.h"

#include <jansson.h>
#include <string.h>

#include "common/base/err.h"

#define DELAY_MAX_MS 600000
#define SLOW_MS 10000

static const char *const texts[] = {
#define FAULT_TEXT(name, text, charged) text,
    FAULT_MAP(FAULT_TEXT)
#undef FAULT_TEXT
};

static const bool charges[] = {
#define FAULT_CHARGES(name, text, charged) charged,
    FAULT_MAP(FAULT_CHARGES)
#undef FAULT_CHARGES
};

const char *fault_text(enum fault fault)
{
    return texts[fault];
}

bool fault_charges(enum fault fault)
{
    return charges[fault];
}

bool fault_find(const char *text, enum fault *ret_fault)
{
    for (size_t i = 0; i < FAULT_COUNT; i++) {
        if (strcmp(text, texts[i]) == 0) {
            *ret_fault = (enum fault)i;
            return true;
        }
    }
    return false;
}

void faults_init(struct faults *faults, uint64_t seed)
{
    *faults = (struct faults){.slow_ms = SLOW_MS, .random = seed};
    settings_init(&faults->settings);
}

/* splitmix64 (Steele, Lea, Flood) */
static uint64_t roll(struct faults *faults)
{
    uint64_t z = faults->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* From 0 to 1. */
static double roll_number(struct faults *faults)
{
    return (double)(roll(faults) >> 11) * 0x1p-53;
}

enum fault faults_pick_read(struct faults *faults)
{
    static const enum fault kinds[] = {FAULT_RESET, FAULT_429, FAULT_500, FAULT_GARBAGE};
    if (faults->reads <= 0 || roll_number(faults) >= faults->reads)
        return FAULT_NONE;
    return kinds[roll(faults) % (sizeof kinds / sizeof kinds[0])];
}

enum fault faults_pick(struct faults *faults)
{
    if (faults->forever)
        return faults->mode;
    if (faults->times > 0) {
        faults->times--;
        return faults->mode;
    }
    double number = roll_number(faults);
    for (size_t i = 0; i < FAULT_COUNT; i++) {
        if (number < faults->chances[i])
            return (enum fault)i;
        number -= faults->chances[i];
    }
    return FAULT_NONE;
}

bool faults_roll(struct faults *faults, double chance)
{
    return chance >= 1 || (chance > 0 && roll_number(faults) < chance);
}

uint32_t faults_delay_ms(struct faults *faults)
{
    uint32_t delay = faults->latency_ms;
    if (faults->jitter_ms > 0)
        delay += (uint32_t)(roll(faults) % (faults->jitter_ms + UINT64_C(1)));
    return delay;
}

/* ---- the control's JSON ---- */

static int wrong(struct buf *problem, const char *name, const char *why)
{
    (void)buf_printf(problem, "%s %s", name, why);
    return ERR_PARSE;
}

static int read_count(const char *name, const json_t *value, json_int_t most, uint32_t *ret_count,
                      struct buf *problem)
{
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || number > most)
        return wrong(problem, name, "is no whole number in its range");
    *ret_count = (uint32_t)number;
    return 0;
}

static int read_mode(struct faults *faults, const json_t *value, struct buf *problem)
{
    const char *text = json_string_value(value);
    if (text == NULL || !fault_find(text, &faults->mode))
        return wrong(problem, "mode", "is no mode");
    faults->times = 0;
    faults->forever = faults->mode != FAULT_NONE; /* "times" may change that */
    if (faults->mode == FAULT_NONE) {
        faults->webhooks = WEBHOOKS_ONCE;
        memset(faults->chances, 0, sizeof faults->chances);
        faults->reads = 0;
        settings_calm(&faults->settings);
    }
    return 0;
}

static const char *const webhook_texts[] = {
#define FAULT_WEBHOOKS_TEXT(name, text) text,
    FAULT_WEBHOOKS_MAP(FAULT_WEBHOOKS_TEXT)
#undef FAULT_WEBHOOKS_TEXT
};

static int read_webhooks(struct faults *faults, const json_t *value, struct buf *problem)
{
    const char *text = json_string_value(value);
    for (size_t i = 0; text != NULL && i < ARRAY_LEN(webhook_texts); i++) {
        if (strcmp(text, webhook_texts[i]) == 0) {
            faults->webhooks = (enum fault_webhooks)i;
            return 0;
        }
    }
    return wrong(problem, "webhooks", "is once, never, early, late, twice or shuffled");
}

static int read_modes(struct faults *faults, json_t *modes, struct buf *problem)
{
    const char *name;
    json_t *value;
    double sum = 0;
    if (!json_is_object(modes))
        return wrong(problem, "modes", "is no object");
    memset(faults->chances, 0, sizeof faults->chances);
    json_object_foreach(modes, name, value)
    {
        enum fault fault;
        double chance = json_number_value(value);
        if (!fault_find(name, &fault) || !json_is_number(value) || !(chance >= 0 && chance <= 1))
            return wrong(problem, "modes", "needs modes with chances from 0 to 1");
        faults->chances[fault] = chance;
        sum += chance;
    }
    return sum <= 1 + 1e-9 ? 0 : wrong(problem, "modes", "has chances above 1 together");
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

static int read_member(struct faults *faults, const char *name, json_t *value, struct buf *problem)
{
    if (strcmp(name, "latency_ms") == 0)
        return read_count(name, value, DELAY_MAX_MS, &faults->latency_ms, problem);
    if (strcmp(name, "jitter_ms") == 0)
        return read_count(name, value, DELAY_MAX_MS, &faults->jitter_ms, problem);
    if (strcmp(name, "slow_ms") == 0)
        return read_count(name, value, DELAY_MAX_MS, &faults->slow_ms, problem);
    if (strcmp(name, "mode") == 0)
        return read_mode(faults, value, problem);
    if (strcmp(name, "reads") == 0)
        return read_chance(name, value, &faults->reads, problem);
    if (strcmp(name, "webhooks") == 0)
        return read_webhooks(faults, value, problem);
    if (strcmp(name, "modes") == 0)
        return read_modes(faults, value, problem);
    if (strcmp(name, "times") == 0)
        return 0; /* after "mode" */
    if (strcmp(name, "seed") != 0) {
        int code = settings_read(&faults->settings, name, value, problem);
        return code == ERR_NOT_FOUND ? wrong(problem, name, "is no control") : code;
    }
    if (!json_is_integer(value))
        return wrong(problem, name, "is no whole number");
    faults->random = (uint64_t)json_integer_value(value);
    return 0;
}

static int read_members(struct faults *faults, json_t *root, struct buf *problem)
{
    const char *name;
    json_t *value;
    int code = 0;
    json_object_foreach(root, name, value)
    {
        code = read_member(faults, name, value, problem);
        if (code < 0)
            return code;
    }
    const json_t *times = json_object_get(root, "times");
    if (times == NULL)
        return 0;
    faults->forever = false;
    return read_count("times", times, UINT32_MAX, &faults->times, problem);
}

int faults_read(struct faults *faults, const char *json, size_t len, struct buf *ret_problem)
{
    json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return wrong(ret_problem, "the body", "is no JSON object");
    }
    struct faults changed = *faults;
    int code = read_members(&changed, root, ret_problem);
    if (code == 0)
        *faults = changed;
    json_decref(root);
    return code;
}

void faults_write(const struct faults *faults, struct buf *out)
{
    (void)buf_printf(out, "\"latency_ms\":%u,\"jitter_ms\":%u,\"slow_ms\":%u,\"mode\":\"%s\"",
                     faults->latency_ms, faults->jitter_ms, faults->slow_ms,
                     fault_text(faults->forever || faults->times > 0 ? faults->mode : FAULT_NONE));
    if (!faults->forever)
        (void)buf_printf(out, ",\"times\":%u", faults->times);
    (void)buf_printf(out, ",\"reads\":%g,\"webhooks\":\"%s\"", faults->reads,
                     webhook_texts[faults->webhooks]);
    (void)buf_str(out, ",\"modes\":{");
    const char *comma = "";
    for (size_t i = 0; i < FAULT_COUNT; i++) {
        if (faults->chances[i] > 0) {
            (void)buf_printf(out, "%s\"%s\":%g", comma, texts[i], faults->chances[i]);
            comma = ",";
        }
    }
    (void)buf_char(out, '}');
    settings_write(&faults->settings, out);
}
