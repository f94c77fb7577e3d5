#include "deploy/sandbox/form.h"

#include <string.h>
#include <xxhash.h>

#include "common/base/encode.h"
#include "common/base/err.h"
#include "common/base/utf8.h"

/* Decodes in place, ends with NUL. */
static int decode(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '+')
            text[i] = ' ';
    int code = percent_decode(text, len, text, len + 1);
    return code < 0 || utf8_valid(text, strlen(text)) ? code : ERR_PARSE;
}

/* A list, like payment_method_types[]: its name may come again. */
static bool is_list(const char *name)
{
    size_t len = strlen(name);
    return len > 2 && strcmp(name + len - 2, "[]") == 0;
}

static int add_field(char *text, size_t len, struct form *form)
{
    if (form->count == FORM_FIELDS_MAX)
        return ERR_FULL;
    char *equals = memchr(text, '=', len);
    size_t name_len = equals == NULL ? len : (size_t)(equals - text);
    char *value = equals == NULL ? text + len : equals + 1;
    size_t value_len = equals == NULL ? 0 : len - name_len - 1;
    if (name_len == 0 || decode(value, value_len) < 0 || decode(text, name_len) < 0 ||
        (form_get(form, text) != NULL && !is_list(text)))
        return ERR_PARSE;
    form->fields[form->count++] = (struct form_field){text, value};
    return 0;
}

int form_parse(char *text, size_t len, struct form *ret_form)
{
    ret_form->count = 0;
    if (memchr(text, '\0', len) != NULL)
        return ERR_PARSE;
    char *end = text + len;
    for (char *p = text; p < end;) {
        char *next = memchr(p, '&', (size_t)(end - p));
        size_t field_len = (size_t)((next == NULL ? end : next) - p);
        int code = field_len == 0 ? 0 : add_field(p, field_len, ret_form);
        if (code < 0)
            return code;
        p += field_len + 1;
    }
    return 0;
}

const char *form_get(const struct form *form, const char *name)
{
    for (size_t i = 0; i < form->count; i++)
        if (strcmp(form->fields[i].name, name) == 0)
            return form->fields[i].value;
    return NULL;
}

const char *form_member(const struct form_field *field, const char *prefix, size_t *ret_len)
{
    size_t prefix_len = strlen(prefix);
    size_t len = strlen(field->name);
    if (len < prefix_len + 3 || strncmp(field->name, prefix, prefix_len) != 0 ||
        field->name[prefix_len] != '[' || field->name[len - 1] != ']')
        return NULL;
    *ret_len = len - prefix_len - 2;
    return field->name + prefix_len + 1;
}

uint64_t form_fingerprint(const struct form *form, const char *target)
{
    uint64_t sum = XXH3_64bits(target, strlen(target));
    for (size_t i = 0; i < form->count; i++) { /* a sum, so that the order does not matter */
        const struct form_field *field = &form->fields[i];
        XXH64_hash_t name = XXH3_64bits(field->name, strlen(field->name));
        sum += XXH3_64bits_withSeed(field->value, strlen(field->value), name);
    }
    return sum;
}
