#include "common/base/json_reader.h"

#include <string.h>

#include "common/base/encode.h"
#include "common/base/err.h"
#include "common/base/parse.h"
#include "common/base/utf8.h"

struct reader {
    const char *start;
    const char *p;
    const char *end;
    char *out; /* where the next decoded byte goes */
    const char *problem;
};

static bool fail(struct reader *r, const char *problem)
{
    if (r->problem == NULL)
        r->problem = problem;
    return false;
}

static void skip_space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

static bool at(const struct reader *r, char c)
{
    return r->p < r->end && *r->p == c;
}

static bool expect(struct reader *r, char c, const char *problem)
{
    skip_space(r);
    if (!at(r, c))
        return fail(r, r->p == r->end ? "the JSON ends too early" : problem);
    r->p++;
    return true;
}

/* ---- strings ---- */

static bool read_hex4(struct reader *r, uint32_t *ret_value)
{
    uint32_t value = 0;
    if (r->end - r->p < 4)
        return fail(r, "an escape in a string is malformed");
    for (int i = 0; i < 4; i++, r->p++) {
        int digit = hex_digit(*r->p);
        if (digit < 0)
            return fail(r, "an escape in a string is malformed");
        value = value << 4 | (uint32_t)digit;
    }
    *ret_value = value;
    return true;
}

/* After "\u"; a pair of surrogates is one character. */
static bool read_unicode(struct reader *r)
{
    uint32_t c;
    if (!read_hex4(r, &c))
        return false;
    if (utf16_is_low(c))
        return fail(r, "a string has half of a surrogate pair");
    if (utf16_is_high(c)) {
        uint32_t low = 0;
        if (r->end - r->p < 2 || r->p[0] != '\\' || r->p[1] != 'u')
            return fail(r, "a string has half of a surrogate pair");
        r->p += 2;
        if (!read_hex4(r, &low))
            return false;
        if (!utf16_is_low(low))
            return fail(r, "a string has half of a surrogate pair");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    r->out += utf8_put(c, r->out);
    return true;
}

static bool read_escape(struct reader *r)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    if (r->p == r->end)
        return fail(r, "the JSON ends too early");
    char c = *r->p++;
    if (c == 'u')
        return read_unicode(r);
    const char *name = c == '\0' ? NULL : strchr(names, c);
    if (name == NULL)
        return fail(r, "an escape in a string is malformed");
    *r->out++ = values[name - names];
    return true;
}

static bool copy_utf8(struct reader *r)
{
    size_t len = utf8_len(r->p, (size_t)(r->end - r->p));
    if (len == 0)
        return fail(r, "the body is not UTF-8");
    memcpy(r->out, r->p, len);
    r->out += len;
    r->p += len;
    return true;
}

/* The opening quote is next. The decoded text is never longer than what is written, and its NUL
 * fits in place of the quotes. */
static bool read_string(struct reader *r, const char **ret_text, size_t *ret_len)
{
    char *from = r->out;
    r->p++;
    for (;;) {
        if (r->p == r->end)
            return fail(r, "the JSON ends too early");
        unsigned char c = (unsigned char)*r->p;
        if (c == '"')
            break;
        if (c < 0x20)
            return fail(r, "a control character in a string is not escaped");
        if (c == '\\') {
            r->p++;
            if (!read_escape(r))
                return false;
        } else if (c >= 0x80) {
            if (!copy_utf8(r))
                return false;
        } else {
            *r->out++ = (char)c;
            r->p++;
        }
    }
    r->p++;
    *ret_text = from;
    *ret_len = (size_t)(r->out - from);
    *r->out++ = '\0';
    return true;
}

/* ---- other values ---- */

static bool skip_digits(struct reader *r)
{
    const char *from = r->p;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    return r->p > from;
}

static bool read_number(struct reader *r, struct json_reader_member *m)
{
    m->text = r->p;
    if (at(r, '-'))
        r->p++;
    bool zero = at(r, '0');
    const char *digits = r->p;
    if (!skip_digits(r) || (zero && r->p - digits > 1))
        return fail(r, "a number is malformed");
    if (at(r, '.')) {
        r->p++;
        if (!skip_digits(r))
            return fail(r, "a number is malformed");
    }
    if (at(r, 'e') || at(r, 'E')) {
        r->p++;
        if (at(r, '+') || at(r, '-'))
            r->p++;
        if (!skip_digits(r))
            return fail(r, "a number is malformed");
    }
    m->kind = JSON_READER_NUMBER;
    m->len = (size_t)(r->p - m->text);
    return true;
}

static bool read_word(struct reader *r, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(r->end - r->p) < len || memcmp(r->p, word, len) != 0)
        return fail(r, "the body is not JSON");
    r->p += len;
    return true;
}

static bool read_name(struct reader *r, const char **ret_name, size_t *ret_len)
{
    skip_space(r);
    if (!at(r, '"'))
        return fail(r, r->p == r->end ? "the JSON ends too early" : "the body is not JSON");
    return read_string(r, ret_name, ret_len) && expect(r, ':', "the body is not JSON");
}

static bool skip_nested(struct reader *r, int depth);

/* Reads a value that stands inside `depth` objects and arrays. */
static bool read_value(struct reader *r, struct json_reader_member *m, int depth)
{
    skip_space(r);
    switch (r->p == r->end ? '\0' : *r->p) {
    case '"':
        m->kind = JSON_READER_STRING;
        return read_string(r, &m->text, &m->len);
    case '{':
    case '[':
        m->kind = *r->p == '{' ? JSON_READER_OBJECT : JSON_READER_ARRAY;
        return skip_nested(r, depth);
    case 't':
        m->kind = JSON_READER_BOOLEAN;
        m->truth = true;
        return read_word(r, "true");
    case 'f':
        m->kind = JSON_READER_BOOLEAN;
        return read_word(r, "false");
    case 'n':
        m->kind = JSON_READER_NULL;
        return read_word(r, "null");
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return read_number(r, m);
    default:
        return fail(r, r->p == r->end ? "the JSON ends too early" : "the body is not JSON");
    }
}

/* Skips an object or array whose content is not needed. */
static bool skip_nested(struct reader *r, int depth)
{
    if (depth >= JSON_READER_DEPTH_MAX)
        return fail(r, "the JSON is nested more than 4 deep");
    bool object = *r->p == '{';
    char close = object ? '}' : ']';
    r->p++;
    skip_space(r);
    if (at(r, close)) {
        r->p++;
        return true;
    }
    for (;;) {
        struct json_reader_member ignored = {0};
        if (object && !read_name(r, &ignored.name, &ignored.name_len))
            return false;
        if (!read_value(r, &ignored, depth + 1))
            return false;
        skip_space(r);
        if (at(r, close)) {
            r->p++;
            return true;
        }
        if (!expect(r, ',', "the body is not JSON"))
            return false;
    }
}

static bool named_before(const struct json_reader *object, const struct json_reader_member *m)
{
    for (size_t i = 0; i < object->count; i++)
        if (object->members[i].name_len == m->name_len &&
            memcmp(object->members[i].name, m->name, m->name_len) == 0)
            return true;
    return false;
}

static bool read_members(struct reader *r, struct json_reader *object)
{
    skip_space(r);
    if (at(r, '}')) {
        r->p++;
        return true;
    }
    for (;;) {
        struct json_reader_member m = {0};
        if (!read_name(r, &m.name, &m.name_len) || !read_value(r, &m, 1))
            return false;
        if (object->count == JSON_READER_MEMBERS_MAX)
            return fail(r, "the object has too many members");
        m.twice = named_before(object, &m);
        object->members[object->count++] = m;
        skip_space(r);
        if (at(r, '}')) {
            r->p++;
            return true;
        }
        if (!expect(r, ',', "the body is not JSON"))
            return false;
    }
}

int json_reader_read(const char *text, size_t len, char *scratch, struct json_reader *ret_flat,
                     const char **ret_problem, size_t *ret_at)
{
    struct reader r = {.start = text, .p = text, .end = text + len, .out = scratch};
    ret_flat->count = 0;
    skip_space(&r);
    bool good;
    if (r.p == r.end)
        good = fail(&r, "the body is empty");
    else if (*r.p != '{')
        good = fail(&r, "the body is not a JSON object");
    else {
        r.p++;
        good = read_members(&r, ret_flat);
    }
    skip_space(&r);
    if (good && r.p != r.end)
        good = fail(&r, "something follows the JSON object");
    if (good)
        return 0;
    *ret_problem = r.problem;
    *ret_at = (size_t)(r.p - r.start);
    return ERR_PARSE;
}

bool json_reader_named(const struct json_reader_member *member, const char *name)
{
    return member->name_len == strlen(name) && memcmp(member->name, name, member->name_len) == 0;
}

bool json_reader_whole(const struct json_reader_member *member, int64_t low, int64_t high,
                       int64_t *ret_number)
{
    int64_t number;
    if (member->kind != JSON_READER_NUMBER ||
        parse_intn(member->text, member->len, -high, high, &number) < 0)
        return false; /* -0 is a whole number too */
    *ret_number = number;
    return number >= low;
}
