#include "common/service/contact.h"

#include <stdio.h>
#include <string.h>

#include "common/base/err.h"

static unsigned count_hosts(const char *urls)
{
    unsigned count = 1;
    for (; *urls != '\0'; urls++)
        count += *urls == ',';
    return count;
}

static void settle(struct contact *contact, enum contact_state state)
{
    contact->state = state;
    loop_stop(contact->loop);
}

void contact_begin(struct contact *contact, const struct contact_kind *kind, struct loop *loop,
                   const struct cfg *cfg, const char *program)
{
    *contact = (struct contact){
        .kind = kind, .loop = loop, .hosts = count_hosts(cfg_str(cfg, kind->setting))};
    contact->client = kind->open(loop, cfg, program, contact);
    if (contact->client != NULL)
        return;
    contact->state = CONTACT_DOWN;
    (void)snprintf(contact->reason, sizeof contact->reason, "%s", err_text(ERR_NOMEM));
}

void contact_up(struct contact *contact)
{
    if (contact->state == CONTACT_TRYING)
        settle(contact, CONTACT_UP);
}

void contact_failed(struct contact *contact, int fault, const char *reason)
{
    if (contact->state != CONTACT_TRYING)
        return;
    (void)snprintf(contact->reason, sizeof contact->reason, "%s", reason);
    contact->tries++;
    contact->unknown += fault == ERR_NOT_FOUND;
    if (fault == ERR_CONFLICT)
        settle(contact, CONTACT_UNSUITED);
    else if (fault == ERR_AUTH || contact->unknown == contact->hosts)
        settle(contact, CONTACT_WRONG);
    else if (contact->tries >= contact->hosts)
        settle(contact, CONTACT_DOWN);
}

static bool goes_on(const struct contact *contacts, size_t count)
{
    bool trying = false;
    for (size_t i = 0; i < count; i++) {
        if (contacts[i].state == CONTACT_WRONG || contacts[i].state == CONTACT_UNSUITED)
            return false;
        trying = trying || contacts[i].state == CONTACT_TRYING;
    }
    return trying;
}

static void give_up(struct contact *contacts, size_t count, uint64_t patience_ms)
{
    for (size_t i = 0; i < count; i++) {
        struct contact *contact = &contacts[i];
        if (contact->state != CONTACT_TRYING)
            continue;
        contact->state = CONTACT_DOWN;
        if (contact->tries == 0)
            (void)snprintf(contact->reason, sizeof contact->reason, "no answer within %u s",
                           (unsigned)(patience_ms / 1000));
    }
}

static void out_of_patience(void *arg)
{
    loop_stop(arg);
}

void contact_await(struct contact *contacts, size_t count, uint64_t patience_ms)
{
    if (count == 0)
        return;
    struct loop *loop = contacts[0].loop;
    struct loop_timer *patience = loop_timer_new(loop, out_of_patience, loop);
    if (patience != NULL)
        loop_timer_start(patience, patience_ms, 0);
    while (goes_on(contacts, count) && patience != NULL && loop_timer_active(patience))
        loop_run(loop);
    loop_timer_free(patience);
    give_up(contacts, count, patience_ms);
}

void contact_end(struct contact *contact)
{
    contact->kind->close(contact);
    contact->client = NULL;
}
