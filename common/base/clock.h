/* Time: a monotonic clock for durations, the wall clock for what people and tables see. */
#ifndef COMMON_BASE_CLOCK_H
#define COMMON_BASE_CLOCK_H

#include <stdint.h>

#include "common/base/attrs.h"

#define CLOCK_RFC3339_SIZE 25 /* 2026-01-31T23:59:59.999Z and NUL */

uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);
/* Milliseconds and microseconds since 1970-01-01 UTC. */
int64_t clock_wall_ms(void);
int64_t clock_wall_us(void);
/* UTC with milliseconds. */
void clock_rfc3339(int64_t wall_ms, char ret_text[CLOCK_RFC3339_SIZE]);
/* Reads what clock_rfc3339 writes (fraction of 1 to 6 digits or none, only "Z"); ERR_PARSE
 * otherwise. */
MUST_CHECK int clock_parse_rfc3339(const char *text, int64_t *ret_wall_ms);

#endif
