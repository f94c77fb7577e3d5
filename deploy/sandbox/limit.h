/* At most so many requests in any second: for each endpoint, and for all together. Pure. */
#ifndef DEPLOY_SANDBOX_LIMIT_H
#define DEPLOY_SANDBOX_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIMIT_MAX 1000 /* requests a second, at most */

/* The times of the last ones that were let in. All zero: none were. */
struct limit {
    uint64_t times_ms[LIMIT_MAX];
    size_t next;
};

/* Whether one more may come at `now_ms` (monotonic, not 0); `most` 0: always. */
bool limit_allows(const struct limit *limit, uint32_t most, uint64_t now_ms);
/* One was let in. */
void limit_count(struct limit *limit, uint64_t now_ms);

#endif
