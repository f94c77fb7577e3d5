#include "notifier/line.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/parse.h"

/* Reads "5+896"; returns what stands behind it, or NULL. */
static const char *parse_group(const char *text, struct line_group *ret_group)
{
    size_t digits = parse_digits(text, &ret_group->first);
    if (digits == 0 || text[digits] != '+')
        return NULL;
    text += digits + 1;
    digits = parse_digits(text, &ret_group->count);
    return digits == 0 || ret_group->count < 1 || ret_group->first < 1 ? NULL : text + digits;
}

static size_t count_groups(const char *text)
{
    size_t count = text[0] == '\0' ? 0 : 1;
    for (; *text != '\0'; text++)
        count += *text == ' ';
    return count;
}

/* Returns how many, or ERR_PARSE. */
static int parse_groups(const char *text, int64_t next, struct line_group *groups)
{
    int count = 0;
    int64_t end = 1;
    int64_t before = 0;
    while (*text != '\0') {
        struct line_group group;
        text = parse_group(text, &group);
        if (text == NULL || group.first < end || group.count > next - group.first)
            return ERR_PARSE;
        group.before = before;
        before += group.count;
        end = group.first + group.count;
        groups[count++] = group;
        if (*text != '\0' && *text++ != ' ')
            return ERR_PARSE;
    }
    return count;
}

int line_read(struct line *line, const struct line_news *news, const char *tickets)
{
    size_t most = count_groups(tickets);
    if (most > LINE_GROUPS_MAX)
        return ERR_PARSE;
    struct line_group *groups = calloc(most + 1, sizeof *groups);
    if (groups == NULL)
        return ERR_NOMEM;
    int count = parse_groups(tickets, news->next, groups);
    if (count < 0) {
        free(groups);
        return count;
    }
    free(line->groups);
    line->groups = groups;
    line->group_count = (size_t)count;
    const struct line_group *last = count == LINE_GROUPS_MAX ? &groups[count - 1] : NULL;
    line->open = last == NULL ? news->next : last->first + last->count;
    int64_t pace_ms = line->news.pace_ms;
    line->news = *news;
    line->news.pace_ms = pace_ms; /* only the owner knows it */
    line->read = true;
    return 0;
}

bool line_hear(struct line *line, const struct line_news *news)
{
    if (news->next < line->news.next || line_news_left(news) < line_news_left(&line->news))
        return false;
    line->news = *news;
    return true;
}

void line_free(struct line *line)
{
    free(line->groups);
    *line = (struct line){0};
}

/* Tickets up to this one that waited when the line was read, or came behind. */
static int64_t tickets_up_to(const struct line *line, int64_t ticket)
{
    size_t low = 0;
    size_t high = line->group_count;
    while (low < high) { /* the first group that begins behind the ticket */
        size_t middle = low + (high - low) / 2;
        if (line->groups[middle].first <= ticket)
            low = middle + 1;
        else
            high = middle;
    }
    int64_t count = 0;
    if (low > 0) {
        const struct line_group *group = &line->groups[low - 1];
        int64_t in_it = ticket - group->first + 1;
        count = group->before + (in_it < group->count ? in_it : group->count);
    }
    return ticket < line->open ? count : count + ticket - line->open + 1;
}

int64_t line_place(const struct line *line, int64_t ticket)
{
    if (!line->read || ticket < line->news.head)
        return 0;
    int64_t place = tickets_up_to(line, ticket) - tickets_up_to(line, line->news.head - 1);
    int64_t later = ticket < line->news.next ? 0 : ticket - line->news.next + 1;
    return place < line->news.waiting + later ? place : line->news.waiting + later;
}

bool line_exact(const struct line *line)
{
    /* Who waits is among those that count: if they are as many, they are the same. */
    return line->read &&
           tickets_up_to(line, line->news.next - 1) - tickets_up_to(line, line->news.head - 1) ==
               line->news.waiting;
}
