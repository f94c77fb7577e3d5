#include "common/shop/line_news.h"

#include <jansson.h>
#include <stdbool.h>

#include "common/base/err.h"

#define VERSION 1

int64_t line_news_left(const struct line_news *news)
{
    return news->next - 1 - news->waiting;
}

static void member(struct buf *out, const char *name, int64_t value)
{
    (void)buf_str(out, ",\"");
    (void)buf_str(out, name);
    (void)buf_str(out, "\":");
    (void)buf_int(out, value);
}

int line_news_encode(struct buf *out, const struct line_news *news)
{
    (void)buf_str(out, "{\"version\":");
    (void)buf_int(out, VERSION);
    member(out, "head", news->head);
    member(out, "next", news->next);
    member(out, "waiting", news->waiting);
    if (news->behind_ms != LINE_CLOCK_STANDS)
        member(out, "behind_ms", news->behind_ms);
    if (news->pace_ms > 0)
        member(out, "pace_ms", news->pace_ms);
    (void)buf_char(out, '}');
    return out->failed ? ERR_FULL : 0;
}

static bool plausible(const struct line_news *news)
{
    return news->head >= 1 && news->head <= news->next && news->waiting >= 0 &&
           news->waiting <= news->next - news->head && news->pace_ms >= 0 &&
           news->behind_ms >= LINE_CLOCK_STANDS;
}

int line_news_parse(const char *text, size_t len, struct line_news *ret_news)
{
    if (len > LINE_NEWS_MAX)
        return ERR_PARSE;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    json_int_t version = 0;
    json_int_t head = 0;
    json_int_t next = 0;
    json_int_t waiting = 0;
    json_int_t behind = LINE_CLOCK_STANDS;
    json_int_t pace = 0;
    int code =
        json_unpack(root, "{s:I, s:I, s:I, s:I, s?I, s?I}", "version", &version, "head", &head,
                    "next", &next, "waiting", &waiting, "behind_ms", &behind, "pace_ms", &pace);
    json_decref(root);
    const struct line_news news = {
        .head = head, .next = next, .waiting = waiting, .behind_ms = behind, .pace_ms = pace};
    if (code != 0 || version != VERSION || !plausible(&news))
        return ERR_PARSE;
    *ret_news = news;
    return 0;
}
