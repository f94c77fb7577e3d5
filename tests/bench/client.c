#include "tests/bench/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

void client_die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

uint64_t client_now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int client_connect(const char *address)
{
    char host[64];
    const char *colon = strrchr(address, ':');
    if (colon == NULL || (size_t)(colon - address) >= sizeof host)
        client_die("%s is not host:port", address);
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
        client_die("%s is not an IPv4 address", host);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        client_die("%s: %s", address, strerror(errno));
    return fd;
}

struct client_tokens client_tokens_read(const char *path)
{
    struct client_tokens tokens = {NULL, 0};
    FILE *file = fopen(path, "re");
    if (file == NULL)
        client_die("%s: %s", path, strerror(errno));
    char line[2048];
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (tokens.count % 1024 == 0) {
            void *grown = realloc(tokens.lines, (tokens.count + 1024) * sizeof *tokens.lines);
            if (grown == NULL)
                client_die("out of memory");
            tokens.lines = grown;
        }
        tokens.lines[tokens.count] = strdup(line);
        if (tokens.lines[tokens.count++] == NULL)
            client_die("out of memory");
    }
    (void)fclose(file);
    if (tokens.count == 0)
        client_die("%s holds no token", path);
    return tokens;
}

/* One of several names that commas separate, in turn; `ret_len` of its characters. */
static const char *turn_of(const char *names, uint64_t number, int *ret_len)
{
    uint64_t count = 1;
    for (const char *p = names; *p != '\0'; p++)
        count += *p == ',';
    for (number %= count; number > 0; number--)
        names = strchr(names, ',') + 1;
    *ret_len = (int)strcspn(names, ",");
    return names;
}

size_t client_request(const struct client_order *order, const char *token, uint64_t number,
                      char out[CLIENT_REQUEST_MAX])
{
    char body[512];
    int method_len;
    const char *method = turn_of(order->method, number, &method_len);
    unsigned sku = order->items > 1 ? (unsigned)random() % order->items : 0;
    int body_len = snprintf(body, sizeof body,
                            "{\"sku\":\"bench-%06u\",\"quantity\":1,\"payment_method\":\"%.*s\","
                            "\"reference\":\"%s.%llu\"}",
                            sku, method_len, method, order->key_prefix, (unsigned long long)number);
    int len = snprintf(out, CLIENT_REQUEST_MAX,
                       "POST /v1/orders HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"
                       "Idempotency-Key: %s-%llu\r\nContent-Type: application/json\r\n"
                       "Content-Length: %d\r\n\r\n%s",
                       order->address, token, order->key_prefix, (unsigned long long)number,
                       body_len, body);
    if (len < 0 || len >= CLIENT_REQUEST_MAX)
        client_die("a request is too long");
    return (size_t)len;
}

size_t client_answer(const char *data, size_t len, int *ret_status)
{
    const char *end = memmem(data, len, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    size_t head = (size_t)(end - data) + 4;
    if (len < 12 || memcmp(data, "HTTP/1.1 ", 9) != 0)
        client_die("not an HTTP answer: %.40s", data);
    *ret_status = (int)strtol(data + 9, NULL, 10);
    size_t body = 0;
    for (const char *line = data; line < end;) {
        line = (const char *)memchr(line, '\n', (size_t)(end + 2 - line)) + 1;
        if (strncasecmp(line, "content-length:", 15) == 0) {
            body = (size_t)strtoul(line + 15, NULL, 10);
            break;
        }
    }
    return len >= head + body ? head + body : 0;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void client_print_times(const char *name, uint32_t *us, size_t count)
{
    if (count > 0)
        qsort(us, count, sizeof *us, compare);
    uint32_t p50 = count > 0 ? us[count / 2] : 0;
    uint32_t p99 = count > 0 ? us[count - 1 - count / 100] : 0;
    uint32_t most = count > 0 ? us[count - 1] : 0;
    (void)printf("\"%sp50_us\":%u,\"%sp99_us\":%u,\"%smax_us\":%u", name, p50, name, p99, name,
                 most);
}
