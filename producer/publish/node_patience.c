#include "producer/publish/node_patience.h"

#define USELESS_MS 3000
#define FRESH_MS 1000
#define LEAVE_FIRST_MS 10000 /* between nodes that are left: the others may elect leaders */
#define LEAVE_MAX_MS 60000

void node_patience_init(struct node_patience *patience, uint64_t seed)
{
    *patience = (struct node_patience){.leave_ms = 0};
    backoff_init(&patience->backoff, LEAVE_FIRST_MS, LEAVE_MAX_MS, seed);
}

void node_patience_connected(struct node_patience *patience)
{
    patience->since_ms = 0;
}

void node_patience_confirmed(struct node_patience *patience)
{
    patience->since_ms = 0;
    backoff_reset(&patience->backoff);
}

void node_patience_useless(struct node_patience *patience, uint64_t since_ms, uint64_t now_ms)
{
    if (patience->since_ms == 0)
        patience->since_ms = since_ms;
    patience->seen_ms = now_ms;
}

bool node_patience_ends(struct node_patience *patience, uint64_t now_ms)
{
    if (patience->since_ms == 0 || now_ms < patience->since_ms + USELESS_MS ||
        now_ms > patience->seen_ms + FRESH_MS || now_ms < patience->leave_ms)
        return false;
    patience->leave_ms = now_ms + backoff_next(&patience->backoff);
    return true;
}
