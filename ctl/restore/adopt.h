/* Orders that a restored database does not know, though the gateway took money for them. */
#ifndef CTL_RESTORE_ADOPT_H
#define CTL_RESTORE_ADOPT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "ctl/ctl.h"

struct adoption {
    uint64_t captures; /* looked at */
    uint64_t known;
    uint64_t adopted; /* or, of a dry run, what would be */
    uint64_t refunded;
    uint64_t named; /* adopted, and the feed has their customer's name */
    uint64_t ended; /* rejected or cancelled, as the feed says; the database did not know */
    uint64_t left;  /* not known, and it could not be adopted: each was printed */
};

/* Asks the gateway for what it captured since `since_s` (0: ever), and adopts what is of use. The
 * settings of the gateway are loaded. An exit code: CTL_FINE also if some are left. */
MUST_CHECK int adopt_orders(struct ctl *ctl, int64_t since_s, bool dry,
                            struct adoption *ret_adoption);

/* Reads a file that `events follow --json` has written, after adopt_orders: it has the names of
 * customers whose orders were adopted, and ends that the database does not know: of orders that it
 * lacks, or that wait there. An exit code, CTL_FINE also if some are left. */
MUST_CHECK int adopt_feed(struct ctl *ctl, const char *path, bool dry, struct adoption *adoption);

/* Prints what came of it, for people, in one line or two. */
void adoption_print(const struct adoption *adoption, bool dry, bool feed);
/* Its members of a JSON object, without braces. */
void adoption_print_json(const struct adoption *adoption);

#endif
