#include "common/net/http/curl_request.h"

#include <string.h>

#include "common/base/err.h"

#define TEXTS_MAX ((size_t)1024 * 1024) /* header lines and body of one call */
#define MEMORY_KEPT 32768               /* an idle call keeps at most so much of each text */

int curl_method_of(const char *name, enum curl_method *ret_method)
{
    static const char *const names[] = {"GET", "POST", "PUT"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(name, names[i]) == 0) {
            *ret_method = (enum curl_method)i;
            return 0;
        }
    return ERR_INVALID;
}

void curl_texts_init(struct curl_texts *texts)
{
    *texts = (struct curl_texts){0};
    buf_init(&texts->all, TEXTS_MAX);
}

void curl_texts_free(struct curl_texts *texts)
{
    buf_free(&texts->all);
}

void curl_texts_shrink(struct buf *b)
{
    if (b->cap > MEMORY_KEPT)
        buf_free(b);
    buf_reset(b);
}

int curl_texts_copy(struct curl_texts *texts, const char *const *headers, const char *body,
                    size_t body_len)
{
    struct buf *all = &texts->all;
    size_t count = 0;
    buf_reset(all);
    for (; headers != NULL && headers[count] != NULL; count++) {
        if (count == CURL_HEADERS_MAX)
            return ERR_FULL;
        texts->lines[count] = all->len;
        (void)buf_append(all, headers[count], strlen(headers[count]) + 1);
    }
    texts->line_count = count;
    texts->body = all->len;
    (void)buf_append(all, body, body_len);
    return all->failed ? ERR_FULL : 0;
}

char *curl_texts_line(const struct curl_texts *texts, size_t index)
{
    return texts->all.data + texts->lines[index];
}

const char *curl_texts_body(const struct curl_texts *texts)
{
    return texts->all.data == NULL ? "" : texts->all.data + texts->body;
}
