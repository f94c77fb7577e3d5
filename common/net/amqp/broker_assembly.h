/* Puts a message together from the frames that it comes in: a method, a header, bodies. Pure. */
#ifndef COMMON_NET_AMQP_BROKER_ASSEMBLY_H
#define COMMON_NET_AMQP_BROKER_ASSEMBLY_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/net/amqp/broker_message.h"
#include "common/net/amqp/broker_wire.h"

/* What comes next. */
enum broker_assembly_stage {
    ASSEMBLY_NONE,
    ASSEMBLY_DELIVER_HEADER,
    ASSEMBLY_RETURN_HEADER,
    ASSEMBLY_BODY,
    ASSEMBLY_SKIP, /* bodies that nothing needs */
};

struct broker_assembly {
    enum broker_assembly_stage stage;
    struct broker_delivery delivery;
    uint64_t body_left;
    struct buf body;
    char type[WIRE_SHORT_MAX + 1];
    char content_type[WIRE_SHORT_MAX + 1];
    struct broker_header *headers; /* NULL until a message has some */
};

/* `body_max`: what is kept of a body. */
void broker_assembly_init(struct broker_assembly *assembly, size_t body_max);
void broker_assembly_free(struct broker_assembly *assembly);
/* Takes a frame of the kinds DELIVER, RETURN, HEADER and BODY. 0, ERR_NOMEM, or: `delivery` is
 * whole now (valid until the next frame), or the message `frame->message_id` was returned. */
enum { BROKER_ASSEMBLY_DELIVERED = 1, BROKER_ASSEMBLY_RETURNED = 2 };
MUST_CHECK int broker_assembly_take(struct broker_assembly *assembly,
                                    const struct wire_frame *frame);

#endif
