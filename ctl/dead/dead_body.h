/*
 * The body of a dead letter: a message of jobs, or one job, or nothing that can be read. Shown only
 * masked: all that may be a payment method or an address of a buyer stays hidden. Pure.
 */
#ifndef CTL_DEAD_DEAD_BODY_H
#define CTL_DEAD_DEAD_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/shop/ids.h"

struct dead_body;

/* Keeps no pointer to `body`. NULL: no memory. */
struct dead_body *dead_body_new(const void *body, size_t len);
void dead_body_free(struct dead_body *body); /* NULL is allowed */

bool dead_body_is_json(const struct dead_body *body);
/* Jobs in it that it can separate; 0: none, or not ours. */
size_t dead_body_jobs(const struct dead_body *body);
/* Text that looks like the id of job `i`, NULL if there is none. */
const char *dead_body_order(const struct dead_body *body, size_t i);
/* Appends the body, indented, with "***" in place of what must stay hidden. */
void dead_body_mask(const struct dead_body *body, struct buf *out);

/*
 * Makes the message that replays it: a message as it is, a single job as a message of its own. 0
 * with the shard of its first job's SKU; ERR_PARSE with a static text in `ret_problem` if the
 * consumer cannot read it either (it would only come back), with the number of readable jobs in
 * `ret_jobs`.
 */
MUST_CHECK int dead_body_message(const struct dead_body *body, uint32_t shards, struct ids *ids,
                                 struct buf *out, uint32_t *ret_shard, size_t *ret_jobs,
                                 const char **ret_problem);

#endif
