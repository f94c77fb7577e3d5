#include "consumer/money/window.h"

void window_init(struct window *window, unsigned first, unsigned max)
{
    *window = (struct window){.size = first < max ? first : max, .max = max};
}

bool window_lets(const struct window *window, size_t inflight)
{
    return inflight < window->size;
}

void window_served(struct window *window, size_t inflight)
{
    if (inflight < window->size) { /* it was not full: nothing says that more would do */
        window->answers = 0;
        return;
    }
    if (++window->answers < window->size)
        return;
    window->answers = 0;
    if (window->size < window->max)
        window->size++;
}

void window_refused(struct window *window, uint64_t sent_ms, uint64_t now_ms)
{
    window->answers = 0;
    if (window->halved_ms != 0 && sent_ms <= window->halved_ms)
        return;
    window->halved_ms = now_ms;
    window->size = window->size < 2 ? 1 : window->size / 2;
}
