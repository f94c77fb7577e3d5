/* The milestones in RabbitMQ, for commands that compare the database with them. */
#ifndef CTL_MILESTONES_H
#define CTL_MILESTONES_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "ctl/ctl.h"

struct milestones_read {
    int code; /* as of milestone_reading */
    char problem[CTL_PROBLEM_SIZE];
    size_t count;
    struct buf milestones; /* a PostgreSQL array of text */
};

/* Reads them; the broker is connected. milestones_read_free after it. */
void milestones_read(struct ctl *ctl, struct milestones_read *ret_read);
void milestones_read_free(struct milestones_read *read);

#endif
