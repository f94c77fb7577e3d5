/*
 * The time at which an order is accepted: PostgreSQL's as last measured, since sale windows are
 * judged by the database's clock. Between measures it goes on by the monotonic clock of this host.
 * Pure.
 */
#ifndef PRODUCER_ACCEPT_CLOCK_H
#define PRODUCER_ACCEPT_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define ACCEPT_CLOCK_DRIFT_MAX_MS 1000     /* beyond it the host's clock deserves an alarm */
#define ACCEPT_CLOCK_MEASURE_MAX_MS 500    /* a measure that took longer says nothing */
#define ACCEPT_CLOCK_MEASURE_LIFE_MS 60000 /* after that, the next measure counts in any case */

/* All zero: not measured. */
struct accept_clock {
    bool known;
    int64_t offset_ms;    /* from the monotonic clock to the database's */
    uint64_t error_ms;    /* the measure may be wrong by so much */
    uint64_t measured_ms; /* monotonic */
};

/* The database said `server_ms` (since 1970) between two readings of the monotonic clock. */
void accept_clock_measured(struct accept_clock *clock, uint64_t sent_ms, uint64_t received_ms,
                           int64_t server_ms);
/* The database's time now; `wall_ms` if it was never measured. */
int64_t accept_clock_now(const struct accept_clock *clock, uint64_t mono_ms, int64_t wall_ms);
/* How far this host's clock is ahead of the database's; 0 if unknown. */
int64_t accept_clock_drift(const struct accept_clock *clock, uint64_t mono_ms, int64_t wall_ms);

#endif
