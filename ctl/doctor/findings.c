#include "ctl/doctor/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/terminal.h"

#define DOCUMENT_MAX ((size_t)256 * 1024)
#define SUBJECT_WIDTH 12
#define TEXT_COLUMN (SUBJECT_WIDTH + 8)

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
    size_t longer = strlen(finding->subject);
    longer = longer > SUBJECT_WIDTH ? longer - SUBJECT_WIDTH : 0;
    (void)printf("%s%-4s%s  %-*s  ", on, level_name(finding->level), on[0] == '\0' ? "" : "\033[0m",
                 SUBJECT_WIDTH, finding->subject);
    terminal_wrap(finding->text, TEXT_COLUMN + longer, TEXT_COLUMN);
    if (finding->advice[0] != '\0') {
        (void)printf("%*s-> ", TEXT_COLUMN, "");
        terminal_wrap(finding->advice, TEXT_COLUMN + 3, TEXT_COLUMN + 3);
    }
    (void)fflush(stdout);
}

void doctor_say(struct doctor *doctor, enum finding_level level, const char *subject,
                const char *advice, const char *format, ...)
{
    struct finding finding = {.level = level, .subject = subject};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(finding.text, sizeof finding.text, format, args);
    va_end(args);
    (void)snprintf(finding.advice, sizeof finding.advice, "%s", advice);
    doctor->counts[level]++;
    if (doctor->count < FINDINGS_MAX)
        doctor->findings[doctor->count++] = finding;
    if (!doctor->ctl->json)
        print(&finding);
}

size_t findings_count(const struct doctor *doctor, enum finding_level level)
{
    return doctor->counts[level];
}

void findings_print_json(const struct doctor *doctor)
{
    struct buf out;
    buf_init(&out, DOCUMENT_MAX);
    (void)buf_printf(&out, "{\"ok\":%s,\"findings\":[",
                     findings_count(doctor, FINDING_FAIL) == 0 ? "true" : "false");
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
