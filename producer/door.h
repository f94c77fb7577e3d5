/* What the door's parts share. */
#ifndef PRODUCER_DOOR_H
#define PRODUCER_DOOR_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/db.h"
#include "common/http.h"
#include "common/ids.h"
#include "common/jwt.h"
#include "common/loop.h"
#include "producer/stats.h"

struct cors;
struct gate;
struct items;
struct lookups;
struct orders;
struct publisher;
struct tickets;

struct door {
    struct loop *loop;
    struct stats stats;
    struct ids *ids;
    struct jwt *jwt;
    struct db *db;
    struct publisher *publisher;
    struct gate *gate;
    struct cors *cors;
    struct tickets *tickets;
    struct orders *orders;
    struct lookups *lookups;
    struct items *items;
    const char *webhook_secret; /* "": no webhooks are taken */
    size_t webhook_secret_len;
    bool closing;   /* its parts are going: nothing can be begun */
    struct buf out; /* for the body of an answer; nobody keeps anything in it */
};

#endif
