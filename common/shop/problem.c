#include "common/shop/problem.h"

#include <string.h>

#include "common/base/err.h"
#include "common/base/utf8.h"

#define PATH_PREFIX "/problems/"
#define RETRY_AFTER_S 2      /* of a 503 that does not say when */
#define POINTER_NAME_MAX 128 /* bytes of a member's name that the answer repeats */

struct row {
    unsigned status;
    const char *name;
    const char *title;
    const char *advice;
};

static const struct row rows[] = {
#define PROBLEM_ROW(name, status, path, title, advice) {status, path, title, advice},
    PROBLEM_MAP(PROBLEM_ROW)
#undef PROBLEM_ROW
};

unsigned problem_status(enum problem_type type)
{
    return rows[type].status;
}

const char *problem_name(enum problem_type type)
{
    return rows[type].name;
}

const char *problem_title(enum problem_type type)
{
    return rows[type].title;
}

const char *problem_advice(enum problem_type type)
{
    return rows[type].advice;
}

void problem_append_path(struct buf *out, enum problem_type type)
{
    (void)buf_str(out, PATH_PREFIX);
    (void)buf_str(out, rows[type].name);
}

int problem_by_path(const char *path, enum problem_type *ret_type)
{
    size_t prefix = strlen(PATH_PREFIX);
    if (strncmp(path, PATH_PREFIX, prefix) != 0)
        return ERR_NOT_FOUND;
    for (int type = 0; type < PROBLEM_COUNT; type++) {
        if (strcmp(path + prefix, rows[type].name) == 0) {
            *ret_type = (enum problem_type)type;
            return 0;
        }
    }
    return ERR_NOT_FOUND;
}

unsigned problem_retry_after(const struct problem *problem)
{
    if (problem->retry_after_s > 0)
        return problem->retry_after_s;
    return problem_status(problem->type) == 503 ? RETRY_AFTER_S : 0;
}

void problem_add(struct problem *problem, struct problem_error error)
{
    if (problem->error_count < PROBLEM_ERRORS_MAX)
        problem->errors[problem->error_count++] = error;
}

/* A JSON Pointer (RFC 6901) to a member of the body. */
static void encode_pointer(struct buf *out, const char *name, size_t len)
{
    char text[2 * POINTER_NAME_MAX + 1];
    size_t n = 0;
    if (len > POINTER_NAME_MAX)
        len = utf8_cut(name, POINTER_NAME_MAX);
    text[n++] = '/';
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '~' || name[i] == '/') {
            text[n++] = '~';
            text[n++] = name[i] == '~' ? '0' : '1';
        } else {
            text[n++] = name[i];
        }
    }
    (void)buf_json_strn(out, text, n);
}

static void encode_error(struct buf *out, const struct problem_error *error)
{
    (void)buf_str(out, "{\"detail\":");
    (void)buf_json_str(out, error->detail);
    if (error->header != NULL) {
        (void)buf_str(out, ",\"header\":");
        (void)buf_json_str(out, error->header);
    } else {
        (void)buf_str(out, ",\"pointer\":");
        if (error->member != NULL)
            encode_pointer(out, error->member, error->member_len);
        else
            (void)buf_str(out, "\"\"");
    }
    (void)buf_char(out, '}');
}

/* The id was verified, so it has no character that JSON escapes. */
static void encode_order(struct buf *out, const char *id)
{
    (void)buf_printf(out, ",\"id\":\"%s\",\"status_url\":\"/v1/orders/%s\"", id, id);
}

void problem_encode(struct buf *out, const struct problem *problem)
{
    const struct row *row = &rows[problem->type];
    (void)buf_str(out, "{\"type\":\"");
    problem_append_path(out, problem->type);
    (void)buf_str(out, "\",\"title\":");
    (void)buf_json_str(out, row->title);
    (void)buf_printf(out, ",\"status\":%u", row->status);
    if (problem->detail != NULL) {
        (void)buf_str(out, ",\"detail\":");
        (void)buf_json_str(out, problem->detail);
    }
    if (problem->order_id != NULL)
        encode_order(out, problem->order_id);
    if (problem->opens_at != NULL)
        (void)buf_printf(out, ",\"opens_at\":\"%s\"", problem->opens_at);
    if (problem->challenge != NULL)
        (void)buf_printf(out, ",\"challenge\":\"%s\"", problem->challenge);
    for (size_t i = 0; i < problem->error_count; i++) {
        (void)buf_str(out, i == 0 ? ",\"errors\":[" : ",");
        encode_error(out, &problem->errors[i]);
    }
    if (problem->error_count > 0)
        (void)buf_char(out, ']');
    (void)buf_char(out, '}');
}
