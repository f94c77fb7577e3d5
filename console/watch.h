/* Requests that wait for the end of their command: one query for all of them, some times a second.
 */
#ifndef CONSOLE_WATCH_H
#define CONSOLE_WATCH_H

#include "console/call.h"

struct watch *watch_new(struct console *console); /* NULL: no memory */
/* Answers those that wait. NULL is allowed; close the sessions before. */
void watch_free(struct watch *watch);

/* Answers when the call's command has ended, or its time is up (202: its result comes later). */
void watch_add(struct watch *watch, struct call *call);
/* Answers what is known of the call's command: 200, 202 or 409. `json` is the command's. */
void watch_tell(struct call *call, const char *state, const char *result, const char *json);
/* Nothing waits any more. */
void watch_drain(struct watch *watch);

#endif
