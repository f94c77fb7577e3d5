/*
 * Which databases and programs suit each other (docs/upgrading.md). The database states its version
 * and the oldest program version that it serves (schemas/sql/functions/versions.sql); a program of
 * a version outside that range has no session with it.
 */
#ifndef COMMON_SHOP_DATABASE_VERSION_H
#define COMMON_SHOP_DATABASE_VERSION_H

#include <stdbool.h>

#include "common/net/pg/pg.h"

/* Of these programs, and of the database that they are made for. It rises by 1 with the first
 * change since the last release after which a program needs something new of the database. */
#define DATABASE_VERSION 2
#define DATABASE_VERSION_TEXT DATABASE_VERSION_TEXT_OF(DATABASE_VERSION)
#define DATABASE_VERSION_TEXT_OF(number) DATABASE_VERSION_TEXT_OF_(number)
#define DATABASE_VERSION_TEXT_OF_(number) #number

/* Each session begins with it. Its judge gives ERR_CONFLICT if the versions do not suit, PG_SOON
 * while no consumer has compared the database with the milestones, ERR_REFUSED if it is behind
 * them.
 */
extern const struct pg_greeting database_version_greeting;

/* Whether a take-over or a heartbeat was refused for that reason: the database has been upgraded
 * meanwhile, or was found to be behind the milestones. */
bool database_version_refused(const struct pg_result *result);

#endif
