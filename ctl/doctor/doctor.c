#include "ctl/doctor/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"
#include "ctl/command.h"

#define DOCUMENT_MAX ((size_t)256 * 1024)
#define SUBJECT_WIDTH 12

static const char *level_name(enum finding_level level)
{
    return level == FINDING_OK ? "ok" : level == FINDING_WARN ? "warn" : "fail";
}

static const char *colour(enum finding_level level)
{
    if (isatty(STDOUT_FILENO) != 1 || getenv("NO_COLOR") != NULL)
        return "";
    return level == FINDING_OK ? "\033[32m" : level == FINDING_WARN ? "\033[33m" : "\033[31m";
}

static void print(const struct finding *finding)
{
    const char *on = colour(finding->level);
    (void)printf("%s%-4s%s  %-*s  %s\n", on, level_name(finding->level),
                 on[0] == '\0' ? "" : "\033[0m", SUBJECT_WIDTH, finding->subject, finding->text);
    if (finding->advice[0] != '\0')
        (void)printf("%*s-> %s\n", SUBJECT_WIDTH + 8, "", finding->advice);
    (void)fflush(stdout);
}

void doctor_say(struct doctor *doctor, enum finding_level level, const char *subject,
                const char *advice, const char *format, ...)
{
    if (doctor->count == FINDINGS_MAX)
        return;
    struct finding *finding = &doctor->findings[doctor->count++];
    finding->level = level;
    finding->subject = subject;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(finding->text, sizeof finding->text, format, args);
    va_end(args);
    (void)snprintf(finding->advice, sizeof finding->advice, "%s", advice);
    if (!doctor->ctl->json)
        print(finding);
}

static size_t count_level(const struct doctor *doctor, enum finding_level level)
{
    size_t count = 0;
    for (size_t i = 0; i < doctor->count; i++)
        if (doctor->findings[i].level == level)
            count++;
    return count;
}

static void print_json(const struct doctor *doctor)
{
    struct buf out;
    buf_init(&out, DOCUMENT_MAX);
    (void)buf_printf(&out, "{\"ok\":%s,\"findings\":[",
                     count_level(doctor, FINDING_FAIL) == 0 ? "true" : "false");
    for (size_t i = 0; i < doctor->count; i++) {
        const struct finding *finding = &doctor->findings[i];
        (void)buf_printf(&out,
                         "%s{\"level\":\"%s\",\"subject\":\"%s\",\"text\":", i == 0 ? "" : ",",
                         level_name(finding->level), finding->subject);
        (void)buf_json_str(&out, finding->text);
        (void)buf_str(&out, ",\"advice\":");
        (void)buf_json_str(&out, finding->advice);
        (void)buf_char(&out, '}');
    }
    (void)printf("%s]}\n", buf_text(&out));
    buf_free(&out);
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    (void)args;
    struct doctor *doctor = calloc(1, sizeof *doctor);
    if (doctor == NULL)
        return ctl_complain(CTL_FAILED, "out of memory");
    doctor->ctl = ctl;
    doctor_settings(doctor);
    doctor_database(doctor);
    doctor_broker(doctor);
    doctor_redis(doctor);
    size_t failures = count_level(doctor, FINDING_FAIL);
    size_t warnings = count_level(doctor, FINDING_WARN);
    if (ctl->json)
        print_json(doctor);
    else if (failures + warnings == 0)
        (void)puts("all is well");
    else
        (void)printf("%zu to mend, %zu to look at\n", failures, warnings);
    free(doctor);
    return failures == 0 ? CTL_FINE : CTL_FAILED;
}

const struct command command_doctor = {
    .words = "doctor",
    .operands = "",
    .summary = "checks settings and servers, and says what to do",
    .details = "Looks at the settings of every program, the secrets' files, PostgreSQL (version, "
               "durability, migrations, shards in service, live consumers), RabbitMQ (version, "
               "exchanges, queues and their arguments, dead messages) and Redis. Changes nothing. "
               "Exit code 1 if anything fails.",
    .settings = CFG_BIT(AMQP_URL) | CFG_BIT(AMQP_HEARTBEAT) | CFG_BIT(SHARDS) |
                CFG_BIT(QUEUE_MAX_BYTES) | CFG_BIT(QUEUE_REPLICAS) | CFG_BIT(DATABASE_URL) |
                CFG_BIT(REDIS_URL) | CFG_BIT(JWT_SECRET_FILE) | CFG_BIT(ORDER_SECRET_FILE),
    .run = run,
};

/* ---- Redis ---- */

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
    char reason[CTL_REASON_SIZE];
    enum ctl_link link = ctl_link_kv(ctl, reason);
    if (link != CTL_LINK_UP) {
        doctor_say(doctor, FINDING_FAIL, "redis",
                   link == CTL_LINK_DOWN ? "start it, or set CHECKOUT_REDIS_URL right; orders are "
                                           "accepted and decided meanwhile, news come late"
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
