#include "common/startup.h"

int startup_check(const struct cfg *cfg, uint32_t program, struct buf *ret_problem)
{
    (void)cfg;
    (void)program;
    (void)ret_problem;
    return 0;
}
