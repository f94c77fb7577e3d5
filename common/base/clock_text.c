/* The functions of clock.h that read and write text; clock.c asks the system, and tests replace it
 * by a virtual clock. */
#include "common/base/clock.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "common/base/err.h"

static char *digits(char *p, unsigned value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        p[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return p + count;
}

void clock_rfc3339(int64_t wall_ms, char ret_text[CLOCK_RFC3339_SIZE])
{
    int64_t ms = wall_ms % 1000;
    if (ms < 0)
        ms += 1000;
    time_t seconds = (time_t)((wall_ms - ms) / 1000);
    struct tm tm;
    (void)gmtime_r(&seconds, &tm);
    char *p = digits(ret_text, (unsigned)(tm.tm_year + 1900), 4);
    *p++ = '-';
    p = digits(p, (unsigned)tm.tm_mon + 1, 2);
    *p++ = '-';
    p = digits(p, (unsigned)tm.tm_mday, 2);
    *p++ = 'T';
    p = digits(p, (unsigned)tm.tm_hour, 2);
    *p++ = ':';
    p = digits(p, (unsigned)tm.tm_min, 2);
    *p++ = ':';
    p = digits(p, (unsigned)tm.tm_sec, 2);
    *p++ = '.';
    p = digits(p, (unsigned)ms, 3);
    *p++ = 'Z';
    *p = '\0';
}

/* Reads the fraction ".d{1,6}" if there is one; NULL if it is malformed. */
static const char *parse_fraction(const char *p, int64_t *ret_ms)
{
    *ret_ms = 0;
    if (*p != '.')
        return p;
    p++;
    int count = 0;
    int64_t scale = 100;
    while (*p >= '0' && *p <= '9' && count < 6) {
        *ret_ms += (*p - '0') * scale;
        scale /= 10;
        p++;
        count++;
    }
    return count > 0 ? p : NULL;
}

/* Whether `text` matches `shape`, where 'd' stands for a digit and all else for itself. */
static bool has_shape(const char *text, const char *shape)
{
    for (; *shape != '\0'; shape++, text++) {
        bool digit = *text >= '0' && *text <= '9';
        if (*shape == 'd' ? !digit : *text != *shape)
            return false;
    }
    return true;
}

/* The number that `count` digits make. */
static int number_at(const char *text, int count)
{
    int number = 0;
    for (int i = 0; i < count; i++)
        number = number * 10 + (text[i] - '0');
    return number;
}

int clock_parse_rfc3339(const char *text, int64_t *ret_wall_ms)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd";
    if (!has_shape(text, shape))
        return ERR_PARSE;
    int64_t ms;
    const char *rest = parse_fraction(text + sizeof shape - 1, &ms);
    if (rest == NULL || strcmp(rest, "Z") != 0)
        return ERR_PARSE;
    struct tm tm = {.tm_year = number_at(text, 4) - 1900,
                    .tm_mon = number_at(text + 5, 2) - 1,
                    .tm_mday = number_at(text + 8, 2),
                    .tm_hour = number_at(text + 11, 2),
                    .tm_min = number_at(text + 14, 2),
                    .tm_sec = number_at(text + 17, 2)};
    struct tm normal = tm;
    time_t seconds = timegm(&normal);
    if (normal.tm_mon != tm.tm_mon || normal.tm_mday != tm.tm_mday ||
        normal.tm_hour != tm.tm_hour || normal.tm_min != tm.tm_min || normal.tm_sec != tm.tm_sec)
        return ERR_PARSE; /* no such day or hour */
    *ret_wall_ms = (int64_t)seconds * 1000 + ms;
    return 0;
}
