/*
 * How many mails may be under way at once: fewer while the mail server says that it is busy, and
 * more again as it takes them. Pure.
 */
#ifndef NOTIFIER_MAIL_MAIL_WINDOW_H
#define NOTIFIER_MAIL_MAIL_WINDOW_H

#include <stddef.h>

struct mail_window {
    size_t most;
    size_t now;   /* 1 to most */
    size_t taken; /* mails since it last changed */
};

void mail_window_init(struct mail_window *window, size_t most);
/* The server took a mail: after as many as there are places, there is one more. */
void mail_window_taken(struct mail_window *window);
/* The server is busy: half the places. */
void mail_window_busy(struct mail_window *window);
/* No server could be used: one place. */
void mail_window_close(struct mail_window *window);

#endif
