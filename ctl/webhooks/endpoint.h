/* What the commands about webhooks share: the texts of an endpoint, checked. */
#ifndef CTL_WEBHOOKS_ENDPOINT_H
#define CTL_WEBHOOKS_ENDPOINT_H

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "ctl/ctl.h"

#define ENDPOINT_TYPES_MAX ((size_t)2048)

/* Each is CTL_FINE, or CTL_USAGE after printing the problem. */
MUST_CHECK int endpoint_check_name(const char *name);
MUST_CHECK int endpoint_check_url(const char *url, bool plain_http);
/* Appends "order.confirmed,…" or "all" as an array of PostgreSQL; of "all" an empty one. */
MUST_CHECK int endpoint_types(const char *list, struct buf *out);
/* Runs a statement of one boolean with these parameters; complains if there is no such endpoint. */
MUST_CHECK int endpoint_change(struct ctl *ctl, const struct pg_statement *statement,
                               const char *const *params);
/* Complains unless there is an endpoint of this name. */
MUST_CHECK int endpoint_need(struct ctl *ctl, const char *name);

#endif
