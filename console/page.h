/* The operators' page: its files, which are part of the program, and which browsers may ask. */
#ifndef CONSOLE_PAGE_H
#define CONSOLE_PAGE_H

#include "common/shop/origins.h"
#include "console/call.h"

struct page_file {
    const char *path;
    const char *content_type;
    const char *body;
    size_t len;
};

/* Made of console/page/ by cmake/page.py; a file without a path ends them. */
extern const struct page_file page_files[];

/* The origins of the page; `list` is empty: host and port that it listens on, and localhost. NULL:
 * no memory. The caller frees them. */
struct origins *page_origins(const char *list, const char *host, uint16_t port);

/* A page of somebody else's asks, or a name that is not ours led the browser here: then the call is
 * answered with 403. */
bool page_refuse_stranger(struct call *call);

bool page_has(const char *path);
/* Answers with the file. `path` is one of its own. */
void page_get(struct call *call, const char *path);

#endif
