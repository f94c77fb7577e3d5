/* Bodies of orders before anything is known about them. What the strict reader takes, another one
 * takes too, and with the same members. */
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

#include "common/base/json_reader.h"

static bool is_kind(const struct json_reader_member *member, const json_t *value)
{
    switch (member->kind) {
    case JSON_READER_STRING:
        return json_is_string(value) && json_string_length(value) == member->len &&
               memcmp(json_string_value(value), member->text, member->len) == 0;
    case JSON_READER_NUMBER:
        return json_is_number(value);
    case JSON_READER_BOOLEAN:
        return json_is_boolean(value);
    case JSON_READER_NULL:
        return json_is_null(value);
    case JSON_READER_OBJECT:
        return json_is_object(value);
    case JSON_READER_ARRAY:
        return json_is_array(value);
    default:
        return false;
    }
}

static void check(const char *text, size_t len, const struct json_reader *read)
{
    json_error_t error;
    json_t *root = json_loadb(text, len, JSON_ALLOW_NUL, &error);
    if (root == NULL) { /* jansson refuses numbers beyond its range, and names with NUL */
        enum json_error_code code = json_error_code(&error);
        MUST(code == json_error_numeric_overflow || code == json_error_null_byte_in_key);
        return;
    }
    MUST(json_is_object(root));
    for (size_t i = 0; i < read->count; i++) {
        const struct json_reader_member *member = &read->members[i];
        bool again = false; /* of several members of one name jansson keeps the last */
        for (size_t j = i + 1; j < read->count; j++)
            again =
                again || (read->members[j].twice && read->members[j].name_len == member->name_len &&
                          memcmp(read->members[j].name, member->name, member->name_len) == 0);
        MUST(again || is_kind(member, json_object_get(root, member->name)));
    }
    json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = exact(data, size);
    char *scratch = malloc(size + 1);
    MUST(scratch != NULL);
    struct json_reader read;
    const char *problem = NULL;
    size_t at = 0;
    if (json_reader_read(text, size, scratch, &read, &problem, &at) == 0) {
        MUST(read.count <= JSON_READER_MEMBERS_MAX);
        check(text, size, &read);
    } else {
        MUST(problem != NULL && at <= size);
    }
    free(scratch);
    free(text);
    return 0;
}
