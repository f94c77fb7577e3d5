/*
 * How producers show how far their host's clock is ahead of PostgreSQL's: each session of one holds
 * a shared advisory lock of this class, and its number is the drift in milliseconds. A producer
 * writes no tables, and whoever may connect sees pg_locks.
 */
#ifndef COMMON_SHOP_CLOCK_LOCK_H
#define COMMON_SHOP_CLOCK_LOCK_H

#define CLOCK_LOCK_CLASS "1128811600"

#endif
