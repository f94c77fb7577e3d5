/* The kinds of violations that an audit knows: which promise is broken, and what to do. */
#ifndef CTL_AUDIT_AUDIT_KINDS_H
#define CTL_AUDIT_AUDIT_KINDS_H

#include <stddef.h>

struct audit_kind {
    const char *name;    /* as schemas/sql/functions/audit.sql says it */
    const char *promise; /* "P1": as ARCHITECTURE.md numbers them */
    const char *advice;
};

/* In the place of a promise: worth a look, and no violation. */
#define AUDIT_NOTE "note"

#define AUDIT_KINDS_MAX 48

/* Its index in the list, below AUDIT_KINDS_MAX; the last one stands for all unknown names. */
size_t audit_kind_of(const char *name);
const struct audit_kind *audit_kind(size_t place);
size_t audit_kinds(void);

#endif
