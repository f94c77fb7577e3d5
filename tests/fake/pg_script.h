/*
 * What a PostgreSQL says and hears, as steps of a scripted server (fake_server.h). Messages:
 * https://www.postgresql.org/docs/15/protocol-message-formats.html
 */
#ifndef TESTS_PG_SCRIPT_H
#define TESTS_PG_SCRIPT_H

#include "tests/fake/fake_server.h"

#define PG_SCRIPT_SESSION "scripted" /* the application_name of its sessions */

#define STARTUP UNTIL("application_name\0" PG_SCRIPT_SESSION "\0")
#define GREETING "R\0\0\0\x08\0\0\0\0S\0\0\0\x18server_version\00015.0\0"
#define WRITABLE                                                                                   \
    "S\0\0\0\x26"                                                                                  \
    "default_transaction_read_only\0off\0"                                                         \
    "S\0\0\0\x17"                                                                                  \
    "in_hot_standby\0off\0"
#define READ_ONLY                                                                                  \
    "S\0\0\0\x25"                                                                                  \
    "default_transaction_read_only\0on\0"                                                          \
    "S\0\0\0\x17"                                                                                  \
    "in_hot_standby\0off\0"
#define READY "Z\0\0\0\5I"
#define LOGIN ACCEPT, STARTUP, SAY(GREETING WRITABLE READY)
/* Parse, Bind, …, Sync */
#define QUERY UNTIL("S\0\0\0\4")
#define ANSWER                                                                                     \
    SAY("1\0\0\0\4"                                                                                \
        "2\0\0\0\4"                                                                                \
        "n\0\0\0\4"                                                                                \
        "C\0\0\0\x0b"                                                                              \
        "COMMIT\0" READY)
#define ERROR(severity, sqlstate, size)                                                            \
    SAY("E\0\0\0" size "S" severity "\0V" severity "\0C" sqlstate "\0Mno\0\0")

/* A row of one column. */
#define ROW(value)                                                                                 \
    SAY("1\0\0\0\4"                                                                                \
        "2\0\0\0\4"                                                                                \
        "T\0\0\0\x1a\0\1v\0\0\0\0\0\0\0\0\0\0\x17\0\4\xff\xff\xff\xff\0\0"                         \
        "D\0\0\0\x0b\0\1\0\0\0\1" value "C\0\0\0\x0d"                                              \
        "SELECT 1\0" READY)

/* The answer to pg_identity_statement of a primary: system, timeline, no standby; `backend`: one
 * digit. */
#define PG_SCRIPT_COLUMN "v\0\0\0\0\0\0\0\0\0\0\x17\0\4\xff\xff\xff\xff\0\0"
#define IDENTITY(backend)                                                                          \
    SAY("1\0\0\0\4"                                                                                \
        "2\0\0\0\4"                                                                                \
        "T\0\0\0\x56\0\4" PG_SCRIPT_COLUMN PG_SCRIPT_COLUMN PG_SCRIPT_COLUMN PG_SCRIPT_COLUMN      \
        "D\0\0\0\x1a\0\4\0\0\0\1"                                                                  \
        "7\0\0\0\1"                                                                                \
        "1\0\0\0\1"                                                                                \
        "f\0\0\0\1" backend "C\0\0\0\x0d"                                                          \
        "SELECT 1\0" READY)

#endif
