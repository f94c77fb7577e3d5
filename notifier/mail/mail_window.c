#include "notifier/mail/mail_window.h"

static void set(struct mail_window *window, size_t places)
{
    window->now = places > 1 ? places : 1;
    window->taken = 0;
}

void mail_window_init(struct mail_window *window, size_t most)
{
    window->most = most;
    set(window, most);
}

void mail_window_taken(struct mail_window *window)
{
    if (++window->taken >= window->now && window->now < window->most)
        set(window, window->now + 1);
}

void mail_window_busy(struct mail_window *window)
{
    set(window, window->now / 2);
}

void mail_window_close(struct mail_window *window)
{
    set(window, 1);
}
