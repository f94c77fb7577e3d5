#include "common/shop/problem_page.h"

static void text(struct buf *out, const char *words)
{
    for (; *words != '\0'; words++) {
        if (*words == '<')
            (void)buf_str(out, "&lt;");
        else if (*words == '&')
            (void)buf_str(out, "&amp;");
        else
            (void)buf_char(out, *words);
    }
}

void problem_page_encode(struct buf *out, enum problem_type type)
{
    (void)buf_str(out, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
                       "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
    text(out, problem_title(type));
    (void)buf_str(out, "</title>\n<style>body { font: 1.1rem/1.5 sans-serif; max-width: 40rem; "
                       "margin: 3rem auto; padding: 0 1rem; color-scheme: light dark }</style>\n"
                       "<h1>");
    text(out, problem_title(type));
    (void)buf_str(out, "</h1>\n<p>Type <code>");
    problem_append_path(out, type);
    (void)buf_printf(out, "</code>, status %u of HTTP.</p>\n<p>", problem_status(type));
    text(out, problem_advice(type));
    (void)buf_str(out, "</p>\n</html>\n");
}
