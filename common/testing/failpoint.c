#include "common/testing/failpoint.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const names[] = {
#define FAILPOINT_NAME(id, name) name,
    FAILPOINT_MAP(FAILPOINT_NAME)
#undef FAILPOINT_NAME
};

const char *failpoint_name(enum failpoint point)
{
    return names[point];
}

/* Takes "name[:n]" apart. FAILPOINT_COUNT: no such failpoint. */
static enum failpoint parse(const char *text, unsigned long *ret_times)
{
    const char *colon = strchr(text, ':');
    size_t len = colon == NULL ? strlen(text) : (size_t)(colon - text);
    int point = 0;
    while (point < FAILPOINT_COUNT &&
           (strlen(names[point]) != len || strncmp(names[point], text, len) != 0))
        point++;
    char *end = NULL;
    *ret_times = colon == NULL ? 1 : strtoul(colon + 1, &end, 10);
    if (colon != NULL && (end == colon + 1 || *end != '\0' || *ret_times == 0))
        return FAILPOINT_COUNT;
    return (enum failpoint)point;
}

bool failpoint_known(const char *text)
{
    unsigned long times;
    return text[0] == '\0' || parse(text, &times) != FAILPOINT_COUNT;
}

/* Whether this is the place and the time. */
static bool reached(enum failpoint point)
{
    static const char *text;
    static enum failpoint wanted;
    static unsigned long times;
    if (text == NULL) {
        text = getenv("CHECKOUT_FAILPOINT");
        if (text == NULL)
            text = "";
        wanted = text[0] == '\0' ? FAILPOINT_COUNT : parse(text, &times);
    }
    return point == wanted && --times == 0;
}

void failpoint_at(enum failpoint point)
{
    if (reached(point))
        (void)raise(SIGKILL);
}

void failpoint_soon(enum failpoint point)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    const struct itimerspec when = {.it_value.tv_nsec = FAILPOINT_SOON_MS * 1000000L};
    timer_t timer;
    if (reached(point) && (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 ||
                           timer_settime(timer, 0, &when, NULL) < 0))
        (void)raise(SIGKILL);
}
