/* How `checkoutctl roles --apply` makes the logins at each server. */
#ifndef CTL_ROLES_ROLES_APPLY_H
#define CTL_ROLES_ROLES_APPLY_H

#include "common/base/attrs.h"
#include "ctl/ctl.h"

struct roles_aim {
    const char *directory; /* of the passwords */
    const char *vhost;     /* of RabbitMQ; NULL: that of CHECKOUT_AMQP_URL */
};

/* Make and change the logins, and print a line about each. Return an exit code after printing the
 * problem. Nothing is changed if a password is missing. The settings of the server are loaded. */
MUST_CHECK int roles_apply_postgresql(struct ctl *ctl, const struct roles_aim *aim);
MUST_CHECK int roles_apply_rabbitmq(struct ctl *ctl, const struct roles_aim *aim);
MUST_CHECK int roles_apply_redis(struct ctl *ctl, const struct roles_aim *aim);

#endif
