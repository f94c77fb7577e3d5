#include <string.h>
#include <strings.h>

#include "common/net/http/http_impl.h"

/* A header's line. The texts are the library's, until the answer. */
struct field {
    const char *name;
    size_t name_len;
    const char *value;
};

void http_fields_add(struct http_request *r, const char *name, size_t name_len, const char *value)
{
    const struct field field = {name, name_len, value};
    (void)buf_append(&r->fields, &field, sizeof field); /* a failure stays in it */
}

/* The first header of this name at `*at` or behind it, or NULL; moves `*at` behind it. */
static const struct field *next(const struct http_request *r, const char *name, size_t name_len,
                                size_t *at)
{
    const struct field *fields = (const struct field *)(const void *)r->fields.data;
    size_t count = r->fields.len / sizeof *fields;
    while (*at < count) {
        const struct field *field = &fields[(*at)++];
        if (field->name_len == name_len && strcasecmp(field->name, name) == 0)
            return field;
    }
    return NULL;
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    size_t at = 0;
    const struct field *field = next(request, name, strlen(name), &at);
    return field == NULL ? NULL : field->value;
}

size_t http_request_header_count(const struct http_request *request, const char *name)
{
    size_t name_len = strlen(name);
    size_t at = 0;
    size_t count = 0;
    while (next(request, name, name_len, &at) != NULL)
        count++;
    return count;
}

struct http_body_kind http_request_body_kind(const struct http_request *request)
{
    return (struct http_body_kind){
        .content_type = http_request_header(request, "Content-Type"),
        .content_types = http_request_header_count(request, "Content-Type"),
        .content_encoding = http_request_header(request, "Content-Encoding"),
        .content_encodings = http_request_header_count(request, "Content-Encoding")};
}

const char *http_request_list(const struct http_request *request, const char *name, struct buf *out)
{
    size_t name_len = strlen(name);
    size_t at = 0;
    const struct field *field;
    buf_reset(out);
    while ((field = next(request, name, name_len, &at)) != NULL) {
        if (field->value == NULL)
            continue;
        if (out->len > 0)
            (void)buf_str(out, ", ");
        (void)buf_str(out, field->value);
    }
    return out->len > 0 && !out->failed ? buf_text(out) : NULL;
}
