/* A set of captures by a hash of the intent's id: 8 bytes for each, however many there are. */
#ifndef CTL_AUDIT_AUDIT_CAPTURES_H
#define CTL_AUDIT_AUDIT_CAPTURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

struct audit_captures {
    uint64_t *hashes;
    size_t count;
    size_t cap;
    bool sorted;
};

/* ERR_NOMEM, ERR_FULL. */
MUST_CHECK int audit_captures_add(struct audit_captures *captures, const char *intent_id);
bool audit_captures_has(struct audit_captures *captures, const char *intent_id);
void audit_captures_free(struct audit_captures *captures);

#endif
