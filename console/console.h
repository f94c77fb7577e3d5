/* What the parts of the console share. */
#ifndef CONSOLE_CONSOLE_H
#define CONSOLE_CONSOLE_H

#include <stdbool.h>

#include "common/base/loop.h"
#include "common/identity/jwt.h"
#include "common/service/sessions.h"
#include "console/stats.h"

struct feed;
struct ops;
struct origins;
struct watch;

struct console {
    struct loop *loop;
    struct jwt *tokens; /* of the shop's programs and people */
    struct sessions sessions;
    struct stats stats;
    struct watch *watch; /* the requests that wait for their command's end */
    struct feed *feed;
    struct ops *ops;
    struct origins *origins; /* of the operators' page */
    bool leaving;            /* nothing waits any more */
};

#endif
