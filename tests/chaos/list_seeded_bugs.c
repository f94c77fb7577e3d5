/* Prints the plants as JSON: name, promise, text, and the edits of SQL functions that they need;
 * or, with an argument, the names of the crash points, a line each. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/testing/failpoint.h"
#include "common/testing/seeded_bug.h"

static json_t *edits_of(enum plant plant)
{
    json_t *list = json_array();
    size_t count;
    const struct plant_edit *edits = plant_edits(&count);
    for (size_t i = 0; i < count; i++)
        if (edits[i].plant == plant)
            json_array_append_new(list,
                                  json_pack("{s:s, s:s, s:s}", "function", edits[i].function,
                                            "find", edits[i].find, "replace", edits[i].replace));
    return list;
}

static void print_crash_points(void)
{
    for (int i = 0; i < CRASH_COUNT; i++)
        (void)puts(crash_name((enum crash_point)i));
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        print_crash_points();
        return EXIT_SUCCESS;
    }
    json_t *list = json_array();
    for (int i = 0; i < PLANT_COUNT; i++) {
        enum plant plant = (enum plant)i;
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "name", plant_name(plant),
                                              "promise", plant_promise(plant), "text",
                                              plant_text(plant), "edits", edits_of(plant)));
    }
    int code = json_dumpf(list, stdout, JSON_INDENT(1));
    json_decref(list);
    return code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
