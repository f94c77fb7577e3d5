#include "ctl/milestones.h"

#include <stdio.h>

#include "common/base/err.h"
#include "common/shop/milestone_reader.h"

#define MILESTONES_MAX ((size_t)64 * 1024 * 1024)

struct waiting {
    struct ctl *ctl;
    struct milestones_read *read;
};

static void came(const struct milestone_reading *reading, void *arg)
{
    struct waiting *waiting = arg;
    struct milestones_read *read = waiting->read;
    read->code = reading->code;
    read->count = reading->count;
    (void)snprintf(read->problem, sizeof read->problem, "%s", reading->problem);
    if (reading->code == 0)
        (void)buf_str(&read->milestones, reading->milestones);
    if (read->milestones.failed)
        read->code = ERR_NOMEM;
    loop_stop(waiting->ctl->loop);
}

void milestones_read(struct ctl *ctl, struct milestones_read *ret_read)
{
    struct waiting waiting = {ctl, ret_read};
    *ret_read = (struct milestones_read){.code = ERR_NOMEM};
    buf_init(&ret_read->milestones, MILESTONES_MAX);
    struct milestone_reader *reader = milestone_reader_new(ctl->loop, ctl->broker, came, &waiting);
    if (reader != NULL)
        ret_read->code = milestone_reader_start(reader);
    if (ret_read->code == 0)
        loop_run(ctl->loop);
    if (ret_read->code < 0 && ret_read->problem[0] == '\0')
        (void)snprintf(ret_read->problem, sizeof ret_read->problem, "%s", err_text(ret_read->code));
    milestone_reader_free(reader);
}

void milestones_read_free(struct milestones_read *read)
{
    buf_free(&read->milestones);
}
