/* JSON of messages and answers: the reader gives what jansson gives, or nothing where it gives
 * nothing. The first byte chooses the flags. */
#include "tests/fuzz/fuzz.h"

#include "common/base/json_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t flags[] = {JSON_REJECT_DUPLICATES, JSON_ALLOW_NUL,
                                   JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, 0};
    if (size == 0)
        return 0;
    size_t flag = flags[data[0] % 4];
    char *text = exact(data + 1, size - 1);
    json_t *ours = json_tree_load(text, size - 1, flag);
    json_t *theirs = json_loadb(text, size - 1, flag, NULL);
    MUST((ours == NULL) == (theirs == NULL));
    MUST(ours == NULL || json_equal(ours, theirs));
    json_decref(ours);
    json_decref(theirs);
    free(text);
    return 0;
}
