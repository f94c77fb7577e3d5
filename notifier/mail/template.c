#include "notifier/mail/template.h"

#include <stdio.h>
#include <string.h>

#include "common/base/err.h"

#define OPEN "{{"
#define CLOSE "}}"

struct field {
    char kind; /* '#', '/', or 0: a value */
    const char *name;
    size_t len;
    const char *behind; /* the text behind it; NULL: it is not closed */
};

static struct field read_field(const char *at)
{
    struct field field = {.name = at + sizeof OPEN - 1};
    if (*field.name == '#' || *field.name == '/')
        field.kind = *field.name++;
    field.len = strspn(field.name, "abcdefghijklmnopqrstuvwxyz_");
    if (strncmp(field.name + field.len, CLOSE, sizeof CLOSE - 1) == 0)
        field.behind = field.name + field.len + sizeof CLOSE - 1;
    return field;
}

static const struct template_value *find(const struct template_value *values,
                                         const struct field *field)
{
    for (; values->name != NULL; values++)
        if (strlen(values->name) == field->len &&
            memcmp(values->name, field->name, field->len) == 0)
            return values;
    return NULL;
}

/* The end of the section of this name behind `text`; NULL: none. */
static const char *section_end(const char *text, const struct field *section)
{
    while ((text = strstr(text, OPEN)) != NULL) {
        const struct field field = read_field(text);
        if (field.behind == NULL)
            return NULL;
        if (field.kind == '/' && field.len == section->len &&
            memcmp(field.name, section->name, field.len) == 0)
            return field.behind;
        text = field.behind;
    }
    return NULL;
}

int template_check(const char *text, const struct template_value *values,
                   char ret_problem[TEMPLATE_PROBLEM_SIZE])
{
    const char *open = NULL; /* behind the end of the section that is open */
    while ((text = strstr(text, OPEN)) != NULL) {
        const struct field field = read_field(text);
        const char *problem = NULL;
        if (field.behind == NULL)
            problem = "is no field like {{name}}";
        else if (find(values, &field) == NULL)
            problem = "names no value";
        else if (field.kind == '#' && open != NULL)
            problem = "begins inside of another section";
        else if (field.kind == '#' && (open = section_end(field.behind, &field)) == NULL)
            problem = "has no end";
        else if (field.kind == '/' && field.behind != open)
            problem = "ends nothing";
        if (problem != NULL) {
            (void)snprintf(ret_problem, TEMPLATE_PROBLEM_SIZE, "%.24s… %s", text, problem);
            return ERR_PARSE;
        }
        if (field.kind == '/')
            open = NULL;
        text = field.behind;
    }
    return 0;
}

static const char *html_entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static void put_value(const char *text, enum template_context context, struct buf *out)
{
    for (; *text != '\0'; text++) {
        bool control = (unsigned char)*text < 0x20 || *text == 0x7f;
        const char *entity = context == TEMPLATE_HTML ? html_entity(*text) : NULL;
        if (entity != NULL)
            (void)buf_str(out, entity);
        else if (control)
            (void)buf_char(out, ' ');
        else
            (void)buf_char(out, *text);
    }
}

int template_render(const char *text, enum template_context context,
                    const struct template_value *values, struct buf *out)
{
    for (const char *at; (at = strstr(text, OPEN)) != NULL;) {
        const struct field field = read_field(at);
        const struct template_value *value = field.behind == NULL ? NULL : find(values, &field);
        if (value == NULL)
            return ERR_INVALID;
        bool empty = value->text == NULL || value->text[0] == '\0';
        (void)buf_append(out, text, (size_t)(at - text));
        text = field.behind;
        if (field.kind == '\0' && !empty)
            put_value(value->text, context, out);
        else if (field.kind == '#' && empty)
            text = section_end(field.behind, &field);
        if (text == NULL)
            return ERR_INVALID;
    }
    (void)buf_str(out, text);
    return out->failed ? ERR_FULL : 0;
}
