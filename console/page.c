#include "console/page.h"

#include <stdio.h>
#include <string.h>

#define ORIGINS_SIZE 512
#define ORIGIN_SIZE 300 /* a name has 253 bytes at most */

/* No script, style or connection but its own; no frame around it. */
#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "                    \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "            \
    "require-trusted-types-for 'script'"

struct origins *page_origins(const char *list, const char *host, uint16_t port)
{
    char own[ORIGINS_SIZE];
    struct origins *origins;
    const char *problem;
    bool bare = strchr(host, ':') != NULL; /* an address of IPv6 */
    if (list[0] == '\0') {
        (void)snprintf(own, sizeof own,
                       "http://%s%s%s:%u,http://localhost:%u,http://127.0.0.1:%u,http://[::1]:%u",
                       bare ? "[" : "", host, bare ? "]" : "", port, port, port, port);
        list = own;
    }
    return origins_new(list, &origins, &problem) == 0 ? origins : NULL;
}

/* Host has no scheme: a proxy may speak TLS for us. */
static bool host_is_ours(const struct call *call)
{
    static const char *const schemes[] = {"http", "https"};
    const char *host = http_request_header(call->request, "Host");
    for (size_t i = 0; host != NULL && i < ARRAY_LEN(schemes); i++) {
        char origin[ORIGIN_SIZE];
        int len = snprintf(origin, sizeof origin, "%s://%s", schemes[i], host);
        if (len > 0 && (size_t)len < sizeof origin && origins_allow(call->console->origins, origin))
            return true;
    }
    return false;
}

bool page_refuse_stranger(struct call *call)
{
    const char *origin = http_request_header(call->request, "Origin");
    if (!host_is_ours(call))
        call_refuse(call, PROBLEM_FORBIDDEN, "Host is none of CHECKOUT_CONSOLE_ORIGINS");
    else if (origin != NULL && !origins_allow(call->console->origins, origin))
        call_refuse(call, PROBLEM_FORBIDDEN, "Origin is none of CHECKOUT_CONSOLE_ORIGINS");
    else
        return false;
    return true;
}

static const struct page_file *find(const char *path)
{
    const struct page_file *file = page_files;
    while (file->path != NULL && strcmp(file->path, path) != 0)
        file++;
    return file->path == NULL ? NULL : file;
}

bool page_has(const char *path)
{
    return find(path) != NULL;
}

void page_get(struct call *call, const char *path)
{
    static const struct http_header headers[] = {
        {"Cache-Control", "no-store"},
        {"Content-Security-Policy", POLICY},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
    };
    const struct page_file *file = find(path);
    call->route = STATS_PAGE;
    if (page_refuse_stranger(call))
        return;
    call_respond(call, &(struct http_response){.status = 200,
                                               .content_type = file->content_type,
                                               .body = file->body,
                                               .body_len = file->len,
                                               .headers = headers,
                                               .header_count = ARRAY_LEN(headers)});
}
