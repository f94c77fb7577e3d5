/* Line one is the setting of trusted proxies, the rest an X-Forwarded-For that one of them sends.
 * Who the client is does not depend on what stands before it, which anybody may have written. */
#include "tests/fuzz/fuzz.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "common/net/address.h"

static struct address proxy(void)
{
    struct sockaddr_in socket = {.sin_family = AF_INET};
    struct address address;
    MUST(inet_pton(AF_INET, "10.0.0.1", &socket.sin_addr) == 1);
    MUST(address_of_socket((const struct sockaddr *)(const void *)&socket, &address) == 0);
    return address;
}

static bool same(const struct address *a, const struct address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static void check_name(const struct address *address)
{
    char name[ADDRESS_NAME_SIZE], again[ADDRESS_NAME_SIZE];
    struct address read;
    address_name(address, name);
    MUST(name[0] != '\0' && address_parse(name, strlen(name), &read) == 0);
    address_name(&read, again);
    MUST(strcmp(name, again) == 0);
}

static void check_client(const struct networks *trusted, const char *forwarded)
{
    static const char claim[] = "203.0.113.9, ";
    struct address peer = proxy();
    struct address client = address_of_client(trusted, &peer, forwarded);
    check_name(&client);
    if (!networks_hold(trusted, &peer))
        MUST(same(&client, &peer));
    char *claimed = malloc(sizeof claim + strlen(forwarded));
    MUST(claimed != NULL);
    (void)sprintf(claimed, "%s%s", claim, forwarded);
    struct address other = address_of_client(trusted, &peer, claimed);
    if (!networks_hold(trusted, &client))
        MUST(same(&client, &other));
    free(claimed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *list = next_line(&data, &size);
    char *forwarded = text_of(data, size);
    struct networks *trusted;
    const char *problem = NULL;
    struct address address;
    if (networks_new(list, &trusted, &problem) == 0) {
        check_client(trusted, forwarded);
        networks_free(trusted);
    } else {
        MUST(problem != NULL);
    }
    char *part = exact(data, size);
    if (address_parse(part, size, &address) == 0)
        check_name(&address);
    free(part);
    free(forwarded);
    free(list);
    return 0;
}
