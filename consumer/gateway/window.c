#include "consumer/gateway/window.h"

#define SECOND_MS 1000
#define MANY 5           /* refusals in a second, ... */
#define MANY_ONE_OF 8    /* ... and one of so many calls: the gateway has a limit */
#define LIMITED_MS 60000 /* so long after that */
#define GROW_AFTER_REFUSAL_MS 3000

static unsigned count(const struct window_second *second, uint64_t now_ms)
{
    unsigned sum = 0;
    for (size_t i = 0; i < WINDOW_SLOTS; i++)
        if (second->slots[i].number + WINDOW_SLOTS > now_ms / WINDOW_SLOT_MS)
            sum += second->slots[i].count;
    return sum;
}

static void add(struct window_second *second, uint64_t now_ms)
{
    uint64_t number = now_ms / WINDOW_SLOT_MS;
    unsigned *slot = &second->slots[number % WINDOW_SLOTS].count;
    if (second->slots[number % WINDOW_SLOTS].number != number)
        *slot = 0;
    second->slots[number % WINDOW_SLOTS].number = number;
    ++*slot;
}

void window_init(struct window *window, unsigned first, unsigned max)
{
    *window = (struct window){.size = first < max ? first : max, .max = max};
}

bool window_lets(const struct window *window, size_t inflight, uint64_t now_ms)
{
    if (!window->limited)
        return inflight < window->size;
    return now_ms * 1000 >= window->next_us && count(&window->begun, now_ms) < window->size;
}

uint32_t window_wait_ms(const struct window *window, uint64_t now_ms)
{
    if (!window->limited || window_lets(window, 0, now_ms))
        return 0;
    if (now_ms * 1000 >= window->next_us)
        return WINDOW_SLOT_MS;
    return (uint32_t)(window->next_us / 1000 + 1 - now_ms);
}

bool window_look_is_due(const struct window *window)
{
    return window->earned >= WINDOW_LOOKS - 1;
}

bool window_lets_look(const struct window *window, size_t looking, bool others_wait,
                      uint64_t now_ms)
{
    unsigned most = window->size < WINDOW_LOOKS ? 1 : window->size / WINDOW_LOOKS;
    if (looking >= most || (window->limited && count(&window->looks, now_ms) >= most))
        return false;
    return !others_wait || window_look_is_due(window);
}

void window_called(struct window *window, bool look, uint64_t now_ms)
{
    uint64_t late_us = (now_ms - WINDOW_SLOT_MS) * 1000;
    add(&window->begun, now_ms);
    if (look) {
        add(&window->looks, now_ms);
        window->earned = 0;
    } else if (!window_look_is_due(window)) {
        window->earned++;
    }
    if (window->limited)
        window->next_us = (window->next_us > late_us ? window->next_us : late_us) +
                          (uint64_t)SECOND_MS * 1000 / window->size;
}

static void grow(struct window *window, uint64_t now_ms)
{
    window->answers = 0;
    window->grown_ms = now_ms;
    if (window->size < window->max)
        window->size++;
}

void window_served(struct window *window, size_t inflight, uint64_t now_ms)
{
    if (window->limited && now_ms - window->many_ms >= LIMITED_MS)
        window->limited = false;
    if (window->limited) {
        bool full = count(&window->begun, now_ms) * 10 >= window->size * 9;
        if (full && now_ms - window->grown_ms >= SECOND_MS &&
            now_ms - window->round_ms >= GROW_AFTER_REFUSAL_MS)
            grow(window, now_ms);
    } else if (inflight < window->size) { /* not full: nothing says that more would do */
        window->answers = 0;
    } else if (++window->answers >= window->size) {
        grow(window, now_ms);
    }
}

static void begin_round(struct window *window, uint64_t now_ms)
{
    window->round_ms = now_ms;
    window->least = window->size < 2 ? 1 : window->size / 2;
}

void window_refused(struct window *window, uint64_t sent_ms, uint64_t now_ms)
{
    unsigned begun = count(&window->begun, now_ms);
    window->answers = 0;
    add(&window->refused, now_ms);
    unsigned refused = count(&window->refused, now_ms);
    bool many = refused >= MANY && refused * MANY_ONE_OF >= begun;
    if (many)
        window->many_ms = now_ms;
    if (many && !window->limited) {
        window->limited = true;
        window->next_us = now_ms * 1000;
        window->size = begun < 1 ? 1 : begun < window->max ? begun : window->max;
        begin_round(window, now_ms);
        window->size =
            begun > refused && begun - refused > window->least ? begun - refused : window->least;
    } else if (window->limited) {
        if (sent_ms > window->round_ms)
            begin_round(window, now_ms);
        if (window->size > window->least)
            window->size--;
    }
}
