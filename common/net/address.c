#include "common/net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/parse.h"

#define NETWORKS_MAX 256
#define MAPPED_BITS 96 /* of an IPv4 address before the address itself */
#define CLIENT_BYTES 8 /* of an IPv6 address: a network, which one client has */
#define PORT_MAX 65535

struct network {
    struct address address;
    unsigned bits;
};

struct networks {
    size_t count;
    struct network list[];
};

/* ---- addresses ---- */

static const unsigned char mapped[MAPPED_BITS / 8] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_ipv4(const struct address *address)
{
    return memcmp(address->bytes, mapped, sizeof mapped) == 0;
}

static void map(const void *ipv4, struct address *ret_address)
{
    memcpy(ret_address->bytes, mapped, sizeof mapped);
    memcpy(ret_address->bytes + sizeof mapped, ipv4, sizeof(struct in_addr));
}

int address_of_socket(const struct sockaddr *socket, struct address *ret_address)
{
    if (socket->sa_family == AF_INET) {
        map(&((const struct sockaddr_in *)(const void *)socket)->sin_addr, ret_address);
        return 0;
    }
    if (socket->sa_family != AF_INET6)
        return ERR_INVALID;
    memcpy(ret_address->bytes, &((const struct sockaddr_in6 *)(const void *)socket)->sin6_addr,
           sizeof ret_address->bytes);
    return 0;
}

static int parse_bare(const char *text, size_t len, struct address *ret_address)
{
    char copy[INET6_ADDRSTRLEN];
    struct in_addr ipv4;
    if (len == 0 || len >= sizeof copy || memchr(text, '\0', len) != NULL)
        return ERR_PARSE;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (inet_pton(AF_INET, copy, &ipv4) == 1) {
        map(&ipv4, ret_address);
        return 0;
    }
    return inet_pton(AF_INET6, copy, ret_address->bytes) == 1 ? 0 : ERR_PARSE;
}

static bool is_port(const char *text, size_t len)
{
    int64_t port;
    return parse_intn(text, len, 0, PORT_MAX, &port) == 0;
}

int address_parse(const char *text, size_t len, struct address *ret_address)
{
    const char *end = text + len;
    if (len > 0 && text[0] == '[') {
        const char *close = memchr(text, ']', len);
        if (close == NULL)
            return ERR_PARSE;
        const char *rest = close + 1;
        if (rest < end && (*rest != ':' || !is_port(rest + 1, (size_t)(end - rest - 1))))
            return ERR_PARSE;
        return parse_bare(text + 1, (size_t)(close - text - 1), ret_address);
    }
    const char *colon = memchr(text, ':', len);
    if (colon != NULL && memchr(text, '.', (size_t)(colon - text)) != NULL &&
        is_port(colon + 1, (size_t)(end - colon - 1)))
        len = (size_t)(colon - text);
    return parse_bare(text, len, ret_address);
}

void address_name(const struct address *address, char ret_name[ADDRESS_NAME_SIZE])
{
    struct address network = *address;
    const char *text;
    if (is_ipv4(address)) {
        text = inet_ntop(AF_INET, address->bytes + sizeof mapped, ret_name, ADDRESS_NAME_SIZE);
    } else {
        memset(network.bytes + CLIENT_BYTES, 0, sizeof network.bytes - CLIENT_BYTES);
        text = inet_ntop(AF_INET6, network.bytes, ret_name, ADDRESS_NAME_SIZE);
    }
    if (text == NULL)
        ret_name[0] = '\0'; /* it has the room */
}

/* ---- networks ---- */

static bool holds(const struct network *network, const struct address *address)
{
    unsigned whole = network->bits / 8;
    unsigned rest = network->bits % 8;
    if (memcmp(network->address.bytes, address->bytes, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    unsigned differ = (unsigned)(network->address.bytes[whole] ^ address->bytes[whole]);
    return differ >> (8 - rest) == 0;
}

bool networks_hold(const struct networks *networks, const struct address *address)
{
    for (size_t i = 0; i < networks->count; i++)
        if (holds(&networks->list[i], address))
            return true;
    return false;
}

static int parse_network(const char *text, size_t len, struct network *ret_network)
{
    const char *slash = memchr(text, '/', len);
    size_t address_len = slash == NULL ? len : (size_t)(slash - text);
    if (parse_bare(text, address_len, &ret_network->address) < 0)
        return ERR_PARSE;
    bool ipv4 = is_ipv4(&ret_network->address) && memchr(text, ':', address_len) == NULL;
    unsigned before = ipv4 ? MAPPED_BITS : 0;
    int64_t bits = 128 - before;
    if (slash != NULL && parse_intn(slash + 1, len - address_len - 1, 0, bits, &bits) < 0)
        return ERR_PARSE;
    ret_network->bits = before + (unsigned)bits;
    return 0;
}

/* The next part of a list, without its blanks. False: there is none. */
static bool next_part(const char **at, const char **ret_part, size_t *ret_len)
{
    const char *start = *at;
    if (start == NULL)
        return false;
    size_t len = strcspn(start, ",");
    *at = start[len] == ',' ? start + len + 1 : NULL;
    while (len > 0 && (*start == ' ' || *start == '\t')) {
        start++;
        len--;
    }
    while (len > 0 && (start[len - 1] == ' ' || start[len - 1] == '\t'))
        len--;
    *ret_part = start;
    *ret_len = len;
    return true;
}

static size_t count_parts(const char *list)
{
    size_t count = 1;
    for (; *list != '\0'; list++)
        count += *list == ',';
    return count;
}

int networks_new(const char *list, struct networks **ret_networks, const char **ret_problem)
{
    size_t count = count_parts(list);
    const char *at = list[strspn(list, " \t")] == '\0' ? NULL : list;
    const char *part;
    size_t len;
    *ret_problem = "has more than 256 addresses";
    if (count > NETWORKS_MAX)
        return ERR_PARSE;
    struct networks *networks = calloc(1, sizeof *networks + count * sizeof networks->list[0]);
    *ret_problem = "out of memory";
    if (networks == NULL)
        return ERR_NOMEM;
    while (next_part(&at, &part, &len)) {
        if (parse_network(part, len, &networks->list[networks->count]) < 0) {
            networks_free(networks);
            *ret_problem = "is not a list of IP addresses and networks, like 10.0.0.0/8,fd00::/8";
            return ERR_PARSE;
        }
        networks->count++;
    }
    *ret_networks = networks;
    return 0;
}

void networks_free(struct networks *networks)
{
    free(networks);
}

/* ---- forwarded ---- */

/* The last part of the `*len` bytes of a list, without its blanks; *len becomes what is before it.
 */
static const char *last_part(const char *list, size_t *len, size_t *ret_len)
{
    size_t end = *len;
    size_t start;
    while (end > 0 && (list[end - 1] == ' ' || list[end - 1] == '\t'))
        end--;
    for (start = end; start > 0 && list[start - 1] != ','; start--)
        ;
    *len = start > 0 ? start - 1 : 0;
    while (start < end && (list[start] == ' ' || list[start] == '\t'))
        start++;
    *ret_len = end - start;
    return list + start;
}

struct address address_of_client(const struct networks *trusted, const struct address *peer,
                                 const char *forwarded)
{
    struct address client = *peer;
    size_t left = forwarded == NULL ? 0 : strlen(forwarded);
    while (left > 0 && networks_hold(trusted, &client)) {
        size_t len;
        const char *part = last_part(forwarded, &left, &len);
        struct address next;
        if (address_parse(part, len, &next) < 0)
            break;
        client = next;
    }
    return client;
}
