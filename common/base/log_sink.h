/*
 * Where log lines go: standard error, without ever waiting for its reader. A pipe, a terminal or a
 * socket that takes nothing now, and a full disk, cost lines, never time.
 */
#ifndef COMMON_BASE_LOG_SINK_H
#define COMMON_BASE_LOG_SINK_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"

#define LOG_LINE_MAX PIPE_BUF /* bytes: so much a pipe takes whole or not at all */

/* Looks at what standard error is. Without it, or before it, each write goes there directly. */
void log_sink_open(void);
/* Writes a line of up to LOG_LINE_MAX bytes now, or drops it: then false. */
MUST_CHECK bool log_sink_write(const char *line, size_t len);

#endif
