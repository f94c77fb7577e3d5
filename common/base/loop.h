/*
 * The event loop (libuv) of every daemon: timers, file descriptors, signals. One thread; callbacks
 * run from loop_run only. Any callback may free any handle, its own included: the memory is freed
 * when libuv has closed it.
 */
#ifndef COMMON_BASE_LOOP_H
#define COMMON_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"

struct loop;
struct loop_timer;
struct loop_watch;
struct loop_hook;
struct loop_signal;
struct loop_deferred;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

typedef void (*loop_cb)(void *arg);
/* `events`: LOOP_READ | LOOP_WRITE; both on an error of the descriptor, so that a read shows it. */
typedef void (*loop_watch_cb)(int events, void *arg);

/* NULL: no memory. */
struct loop *loop_new(void);
/* Runs until loop_stop, or until no handle is left. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* Frees the loop; every handle on it must have been freed (its close may be pending). Calls in the
 * background get 200 ms to end, then the loop's memory is left to them. NULL is allowed. */
void loop_free(struct loop *loop);
/* Calls in the background of loops that are freed, which still run: the process cannot return from
 * main() without waiting for them. */
unsigned loop_calls_left(void);
/* The uv_loop_t, for the few files that pass it to a library's libuv adapter. */
void *loop_uv(struct loop *loop);

/* A stopped timer. NULL: no memory. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_cb cb, void *arg);
/* Fires after delay_ms, then every repeat_ms (0: once). Starting again moves it. */
void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms, uint64_t repeat_ms);
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_active(const struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer); /* NULL is allowed, here and below */

/* Watches `fd` (which stays the caller's; free the watch before closing it) for nothing as yet. */
struct loop_watch *loop_watch_new(struct loop *loop, int fd, loop_watch_cb cb, void *arg);
/* Sets what to watch for; 0: nothing. */
void loop_watch_set(struct loop_watch *watch, int events);
void loop_watch_free(struct loop_watch *watch);

/* Called once in each turn of the loop, right before it waits: the place to flush what has
 * gathered. */
struct loop_hook *loop_hook_new(struct loop *loop, loop_cb cb, void *arg);
void loop_hook_free(struct loop_hook *hook);

/*
 * A call at the end of this turn, off the caller's stack: once, however often it is deferred. What
 * a deferred call defers belongs to the next turn, so the loop stays fair.
 */
struct loop_deferred *loop_deferred_new(struct loop *loop, loop_cb cb, void *arg);
void loop_defer(struct loop_deferred *deferred);
void loop_deferred_cancel(struct loop_deferred *deferred); /* as if it had not been deferred */
void loop_deferred_free(struct loop_deferred *deferred);

struct loop_signal *loop_signal_new(struct loop *loop, int signal_number, loop_cb cb, void *arg);
void loop_signal_free(struct loop_signal *handle);

/* Runs `work` in a thread of libuv's pool, then `done` on the loop. For calls that cannot be made
 * asynchronous (resolving and logging in to a server). `work` may touch only what `arg` points
 * to. A call that outlives loop_free never comes to `done`. */
MUST_CHECK int loop_background(struct loop *loop, loop_cb work, loop_cb done, void *arg);

#endif
