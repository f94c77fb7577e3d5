/* Prints the bugs as JSON: name, promise, text, and the edits of SQL functions that they need;
 * or, with an argument, the names of the failpoints, a line each. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/testing/failpoint.h"
#include "common/testing/seeded_bug.h"

static json_t *edits_of(enum seeded_bug bug)
{
    json_t *list = json_array();
    size_t count;
    const struct seeded_bug_edit *edits = seeded_bug_edits(&count);
    for (size_t i = 0; i < count; i++)
        if (edits[i].bug == bug)
            json_array_append_new(list,
                                  json_pack("{s:s, s:s, s:s}", "function", edits[i].function,
                                            "find", edits[i].find, "replace", edits[i].replace));
    return list;
}

static void print_failpoints(void)
{
    for (int i = 0; i < FAILPOINT_COUNT; i++)
        (void)puts(failpoint_name((enum failpoint)i));
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        print_failpoints();
        return EXIT_SUCCESS;
    }
    json_t *list = json_array();
    for (int i = 0; i < SEEDED_BUG_COUNT; i++) {
        enum seeded_bug bug = (enum seeded_bug)i;
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "name", seeded_bug_name(bug),
                                              "promise", seeded_bug_promise(bug), "text",
                                              seeded_bug_text(bug), "edits", edits_of(bug)));
    }
    int code = json_dumpf(list, stdout, JSON_INDENT(1));
    json_decref(list);
    return code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
