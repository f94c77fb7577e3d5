/*
 * URLs, for every setting that is one: scheme://[user[:password]@]host[:port][/path][?query]. The
 * one parser for AMQP, Redis and the web; libpq reads those of PostgreSQL, by the same rules for
 * what must be percent-encoded. Pure. No problem text repeats a part of a URL, which may hold a
 * password.
 */
#ifndef COMMON_NET_URL_H
#define COMMON_NET_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

/* The end of each problem that a special character of a password may cause. */
#define URL_HINT " (is a special character like @ : / ? # , not percent-encoded?)"

/* A stretch of a URL: still percent-encoded, not ended by NUL. Empty: absent. */
struct url_part {
    const char *text;
    size_t len;
};

struct url {
    bool has_user; /* there is an @ */
    bool has_password;
    struct url_part user;
    struct url_part password;
    struct url_part host; /* an IPv6 address without its brackets */
    uint16_t port;        /* 0: absent */
    struct url_part path; /* with the slash that begins it */
    struct url_part rest; /* from ? or # on */
};

/* Whether the text begins with `scheme` and "://". */
bool url_has_scheme(const char *text, size_t len, const char *scheme);
/*
 * Reads a URL of `len` bytes, whatever its scheme is. 0, or ERR_PARSE with a static text in
 * `ret_problem`: no host, a character in it that no host has, an @ that ends no user, a port that
 * is no number from 1 to 65535.
 */
MUST_CHECK int url_parse(const char *text, size_t len, struct url *ret_url,
                         const char **ret_problem);
/* percent_decode of a part. */
MUST_CHECK int url_decode(struct url_part part, char *ret_text, size_t size);
/* The user and password, decoded; texts that the URL has none of stay as they are. NULL, or what is
 * wrong, static; the user may not be empty. */
MUST_CHECK const char *url_login(const struct url *url, char *ret_user, size_t user_size,
                                 char *ret_password, size_t password_size);
/* Copies the host, without brackets, into `ret_host`, cut at `size`; "" if the URL has none. */
void url_host_of(const char *url, char *ret_host, size_t size);

/* For libpq's URLs, which have several hosts: NULL, or the problem with its @ characters. */
const char *url_login_problem(const char *text);
/* Whether a decoded name or address is valid for a host. */
bool url_host_valid(const char *host);

/* Appends the URL with *** instead of its password and without what follows a ?. */
int url_hide_password(const char *text, size_t len, struct buf *out);

#endif
