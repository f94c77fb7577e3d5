/* The page of a problem's type: what a GET of the type's path answers. Pure. */
#ifndef COMMON_SHOP_PROBLEM_PAGE_H
#define COMMON_SHOP_PROBLEM_PAGE_H

#include "common/base/buf.h"
#include "common/shop/problem.h"

#define PROBLEM_PAGE_CONTENT_TYPE "text/html; charset=utf-8"
#define PROBLEM_PAGE_CACHE_CONTROL "public, max-age=3600"
/* No script, no picture: a page of text. */
#define PROBLEM_PAGE_POLICY "default-src 'none'; style-src 'unsafe-inline'"
#define PROBLEM_PAGE_MAX 4096

/* Appends the page, HTML. */
void problem_page_encode(struct buf *out, enum problem_type type);

#endif
