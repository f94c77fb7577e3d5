#include <stdio.h>
#include <string.h>

#include "ctl/doctor/findings.h"

struct asking {
    struct ctl *ctl;
    char version[32];
};

/* "redis_version:7.0.15\r\n" out of INFO's text. */
static void read_info(const struct redis_reply *reply, void *arg)
{
    static const char key[] = "redis_version:";
    struct asking *asking = arg;
    const char *found =
        reply->type == REDIS_STRING ? memmem(reply->str, reply->len, key, sizeof key - 1) : NULL;
    if (found != NULL) {
        found += sizeof key - 1;
        size_t left = (size_t)(reply->str + reply->len - found);
        size_t len = 0;
        while (len < left && len < sizeof asking->version - 1 && found[len] > ' ')
            len++;
        memcpy(asking->version, found, len);
        asking->version[len] = '\0';
    }
    loop_stop(asking->ctl->loop);
}

void doctor_redis(struct doctor *doctor)
{
    struct ctl *ctl = doctor->ctl;
    const char *reason;
    enum contact_state link = ctl_meet(ctl, &contact_redis, &reason);
    if (link != CONTACT_UP) {
        doctor_say(doctor, FINDING_FAIL, "redis",
                   link == CONTACT_DOWN ? "start it, or set CHECKOUT_REDIS_URL right; orders are "
                                          "accepted and decided meanwhile, events come late"
                                        : "set CHECKOUT_REDIS_URL right",
                   "%s", reason);
        return;
    }
    const char *const argv[] = {"INFO", "server"};
    const size_t len[] = {4, 6};
    struct asking asking = {ctl, "of unknown version"};
    if (redis_command(ctl->redis, 2, argv, len, read_info, &asking) == 0)
        loop_run(ctl->loop);
    doctor_say(doctor, FINDING_OK, "redis", "", "Redis %s answers", asking.version);
}
