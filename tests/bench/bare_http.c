/*
 * The limit of the HTTP library: one thread that reads whole requests and answers each with a bare
 * 202, as fast as it can. What the producer reaches of it is what taking an order costs beyond
 * HTTP.
 */
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/client.h"

#define CONNECTIONS_MAX 1024U
#define WAIT_MS 1000

static enum MHD_Result answer(void *response, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **seen)
{
    static char mark;
    (void)url;
    (void)method;
    (void)version;
    (void)data;
    if (*seen == NULL) {
        *seen = &mark;
        return MHD_YES;
    }
    if (*size > 0) {
        *size = 0;
        return MHD_YES;
    }
    return MHD_queue_response(connection, 202, response);
}

static volatile sig_atomic_t ended;

static void end(int signal_number)
{
    (void)signal_number;
    ended = 1;
}

/* As the producer drives it: from a loop of the program's own. */
static void serve(struct MHD_Daemon *daemon)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL)
        client_die("the library does not use epoll");
    struct pollfd readable = {.fd = info->epoll_fd, .events = POLLIN};
    while (!ended) {
        MHD_UNSIGNED_LONG_LONG wait_ms = 0;
        bool soon = MHD_get_timeout(daemon, &wait_ms) == MHD_YES && wait_ms == 0;
        (void)poll(&readable, 1, soon ? 0 : WAIT_MS); /* interrupted: it has ended */
        (void)MHD_run(daemon);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return EXIT_FAILURE;
    }
    const struct sockaddr_in here = {.sin_family = AF_INET,
                                     .sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10)),
                                     .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    (void)signal(SIGTERM, end);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_TURBO, 0, NULL, NULL, answer, response,
                         MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)&here,
                         MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_END);
    if (response == NULL || daemon == NULL)
        client_die("cannot listen on port %s", argv[1]);
    (void)puts("listening");
    (void)fflush(stdout);
    serve(daemon);
    MHD_stop_daemon(daemon);
    MHD_destroy_response(response);
    return EXIT_SUCCESS;
}
