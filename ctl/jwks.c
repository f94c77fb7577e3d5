#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/identity/key_set.h"
#include "common/net/http/curl.h"
#include "common/net/url.h"
#include "ctl/command.h"

#define PATIENCE_MS 15000
#define CONNECT_MS 5000
#define MODE_OF_NEW 0644 /* the keys are public */

struct fetching {
    struct ctl *ctl;
    const char *path;
    int exit_code;
};

/* Keys that travel unprotected can be anybody's, but for those of this machine. */
static bool is_protected(const char *url)
{
    char host[256];
    url_host_of(url, host, sizeof host);
    return url_has_scheme(url, strlen(url), "https") || strcmp(host, "localhost") == 0 ||
           strcmp(host, "127.0.0.1") == 0 || strcmp(host, "::1") == 0;
}

/* ---- the file ---- */

static bool holds(const char *path, const char *text, size_t len)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool same = true;
    size_t i = 0;
    for (int c; same && (c = fgetc(file)) != EOF; i++)
        same = i < len && (unsigned char)text[i] == c;
    (void)fclose(file); /* only read */
    return same && i == len;
}

static bool write_whole(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, text, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        text += written;
        len -= (size_t)written;
    }
    return fsync(fd) == 0;
}

/* Whoever reads sees the old file or the new one. It keeps owner and mode of the old one. */
static int replace(const char *path, const char *text, size_t len)
{
    struct stat old;
    char new_path[4096];
    int n = snprintf(new_path, sizeof new_path, "%s.%d.new", path, (int)getpid());
    if (n < 0 || (size_t)n >= sizeof new_path)
        return ctl_complain(CTL_FAILED, "%s: the path is too long", path);
    int fd = open(new_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, MODE_OF_NEW);
    bool done = fd >= 0;
    if (done && stat(path, &old) == 0)
        done = fchmod(fd, old.st_mode & 07777) == 0 &&
               (fchown(fd, old.st_uid, old.st_gid) == 0 || errno == EPERM);
    done = done && write_whole(fd, text, len);
    done = (fd < 0 || close(fd) == 0) && done && rename(new_path, path) == 0;
    if (done)
        return CTL_FINE;
    int error = errno;
    (void)unlink(new_path); /* it may not be there */
    return ctl_complain(CTL_FAILED, "%s: %s; it is as before", path, strerror(error));
}

/* ---- the answer ---- */

static int take(const struct fetching *fetching, const char *text, size_t len)
{
    struct key_set *keys = NULL;
    const char *problem = "out of memory";
    if (key_set_parse(text, len, &keys, &problem) < 0)
        return ctl_complain(CTL_FAILED, "the answer is no set of keys: %s; %s is as before",
                            problem, fetching->path);
    bool same = holds(fetching->path, text, len);
    int code = same ? CTL_FINE : replace(fetching->path, text, len);
    size_t count = key_set_count(keys), ignored = key_set_ignored(keys);
    if (code == CTL_FINE && fetching->ctl->json)
        (void)printf("{\"keys\":%zu,\"ignored\":%zu,\"changed\":%s}\n", count, ignored,
                     same ? "false" : "true");
    else if (code == CTL_FINE)
        (void)printf("%s: %zu keys%s\n", fetching->path, count, same ? ", as before" : ", written");
    if (code == CTL_FINE && ignored > 0)
        (void)fprintf(stderr, "checkoutctl: %zu keys cannot be used here, the first because %s\n",
                      ignored, key_set_ignored_reason(keys));
    key_set_free(keys);
    return code;
}

static void answered(const struct curl_response *response, void *arg)
{
    struct fetching *fetching = arg;
    if (response->code != 0)
        fetching->exit_code = ctl_complain(CTL_FAILED, "no answer: %s (%s); %s is as before",
                                           response->problem, response->reason, fetching->path);
    else if (response->status != 200)
        fetching->exit_code = ctl_complain(
            CTL_FAILED, "the provider answers %u%s; %s is as before", response->status,
            response->status / 100 == 3 ? " (redirects are not followed)" : "", fetching->path);
    else
        fetching->exit_code = take(fetching, response->body, response->body_len);
    loop_stop(fetching->ctl->loop);
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    const char *url = args->operands[0];
    const char *path = command_option(&command_jwks_fetch, args, "to");
    if (path == NULL)
        return ctl_complain(CTL_USAGE, "--to FILE is missing");
    if (!is_protected(url))
        return ctl_complain(CTL_USAGE, "the URL must begin with https://");
    struct fetching fetching = {ctl, path, CTL_FAILED};
    const struct curl_options options = {.ca_file = command_option(&command_jwks_fetch, args, "ca"),
                                         .connections_max = 1,
                                         .connect_timeout_ms = CONNECT_MS};
    const struct curl_request request = {
        .method = "GET", .url = url, .timeout_ms = PATIENCE_MS, .response_max = KEY_SET_BYTES_MAX};
    struct curl_call *call;
    struct curl_client *client = curl_client_new(ctl->loop, &options);
    if (client != NULL && curl_call_start(client, &request, answered, &fetching, &call) == 0)
        loop_run(ctl->loop);
    else
        (void)ctl_complain(CTL_FAILED, "%s: not a URL that can be asked", url);
    curl_client_free(client);
    return fetching.exit_code;
}

const struct command command_jwks_fetch = {
    .words = "jwks fetch",
    .operands = "URL",
    .operand_count = 1,
    .summary = "fetches an identity provider's public keys into a file",
    .details = "For CHECKOUT_JWKS_FILE, which producers and notifiers read again when it changes. "
               "The file is replaced at once or not at all: an answer that is no set of keys, or "
               "none, leaves it as it is (exit code 1). Run it by a timer where the provider "
               "changes its keys unannounced. A key that is not in the answer is refused from "
               "then on.",
    .options = {{"to", "FILE", "the file to write"},
                {"ca", "FILE", "CA certificates to trust (the system's)"}},
    .run = run,
};
