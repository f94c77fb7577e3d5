/* Bodies of the console's changes; the first byte chooses which. What is taken is kept as JSON;
 * what is refused names at least one error. */
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

#include "common/base/err.h"
#include "console/change.h"

static void check_json(const struct buf *text)
{
    json_t *value = json_loadb(buf_text(text), text->len, JSON_REJECT_DUPLICATES, NULL);
    MUST(json_is_object(value));
    json_decref(value);
}

static void check_taken(struct change *change)
{
    char rule[CURRENCY_RULE_SIZE];
    check_json(&change->wish);
    if (change->argument.len > 0)
        check_json(&change->argument);
    if (change->kind == CHANGE_SET && change_check_price(change, "100", "usd", rule) == 0)
        check_json(&change->argument);
    MUST(change->has_note == (change->note[0] != '\0'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct change *change = NULL;
    struct problem problem = {.type = PROBLEM_INVALID_REQUEST};
    if (size == 0)
        return 0;
    enum change_kind kind = (enum change_kind)(data[0] % (CHANGE_CANCEL + 1));
    char *text = exact(data + 1, size - 1);
    char *scratch = exact(data, size);
    int code = change_read(kind, text, size - 1, scratch, &change, &problem);
    MUST(code == 0 || (code == ERR_INVALID && problem.error_count > 0) || code == ERR_NOMEM);
    if (code == 0)
        check_taken(change);
    change_free(change);
    free(scratch);
    free(text);
    return 0;
}
