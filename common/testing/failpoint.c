#include "common/testing/failpoint.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const names[] = {
#define CRASH_NAME(id, name) name,
    CRASH_MAP(CRASH_NAME)
#undef CRASH_NAME
};

const char *crash_name(enum crash_point point)
{
    return names[point];
}

/* Takes "name[:n]" apart. CRASH_COUNT: there is no such point. */
static enum crash_point parse(const char *text, unsigned long *ret_times)
{
    const char *colon = strchr(text, ':');
    size_t len = colon == NULL ? strlen(text) : (size_t)(colon - text);
    int point = 0;
    while (point < CRASH_COUNT &&
           (strlen(names[point]) != len || strncmp(names[point], text, len) != 0))
        point++;
    char *end = NULL;
    *ret_times = colon == NULL ? 1 : strtoul(colon + 1, &end, 10);
    if (colon != NULL && (end == colon + 1 || *end != '\0' || *ret_times == 0))
        return CRASH_COUNT;
    return (enum crash_point)point;
}

bool crash_known(const char *text)
{
    unsigned long times;
    return text[0] == '\0' || parse(text, &times) != CRASH_COUNT;
}

/* Whether this is the place and the time. */
static bool reached(enum crash_point point)
{
    static const char *text;
    static enum crash_point wanted;
    static unsigned long times;
    if (text == NULL) {
        text = getenv("CHECKOUT_CRASH_AT");
        if (text == NULL)
            text = "";
        wanted = text[0] == '\0' ? CRASH_COUNT : parse(text, &times);
    }
    return point == wanted && --times == 0;
}

void crash_at(enum crash_point point)
{
    if (reached(point))
        (void)raise(SIGKILL);
}

void crash_soon(enum crash_point point)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    const struct itimerspec when = {.it_value.tv_nsec = CRASH_SOON_MS * 1000000L};
    timer_t timer;
    if (reached(point) && (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 ||
                           timer_settime(timer, 0, &when, NULL) < 0))
        (void)raise(SIGKILL);
}
