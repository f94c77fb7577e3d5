/* What libpq says of a failure, made into one line. Pure. */
#ifndef COMMON_NET_PG_PG_REASON_H
#define COMMON_NET_PG_PG_REASON_H

#define PG_REASON_SIZE 256
#define PG_SQLSTATE_SIZE 6

/* Reads a message of several lines, verbose or not: its text on one line, and the SQLSTATE that was
 * part of it ("" if none). */
void pg_reason_read(const char *message, char ret_reason[PG_REASON_SIZE],
                    char ret_sqlstate[PG_SQLSTATE_SIZE]);

#endif
