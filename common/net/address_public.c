#include "common/net/address_public.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/attrs.h"

/* IANA's registries of special purposes (RFC 6890 and what it lists since). */
struct block4 {
    uint32_t first;
    unsigned bits;
};

#define IPV4(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))

static const struct block4 special4[] = {
    {IPV4(0, 0, 0, 0), 8},       /* this network */
    {IPV4(10, 0, 0, 0), 8},      /* private */
    {IPV4(100, 64, 0, 0), 10},   /* shared by a carrier's customers */
    {IPV4(127, 0, 0, 0), 8},     /* loopback */
    {IPV4(169, 254, 0, 0), 16},  /* link-local; where clouds answer for themselves */
    {IPV4(172, 16, 0, 0), 12},   /* private */
    {IPV4(192, 0, 0, 0), 24},    /* protocols */
    {IPV4(192, 0, 2, 0), 24},    /* documentation */
    {IPV4(192, 88, 99, 0), 24},  /* 6to4 relays */
    {IPV4(192, 168, 0, 0), 16},  /* private */
    {IPV4(198, 18, 0, 0), 15},   /* benchmarks */
    {IPV4(198, 51, 100, 0), 24}, /* documentation */
    {IPV4(203, 0, 113, 0), 24},  /* documentation */
    {IPV4(224, 0, 0, 0), 4},     /* multicast */
    {IPV4(240, 0, 0, 0), 4},     /* reserved, broadcast */
};

/* Of 2000::/3, which is all that is given out; nothing outside of it is public. */
struct block6 {
    uint32_t first; /* of 32 bits */
    unsigned bits;
};

static const struct block6 special6[] = {
    {0x20010000, 23}, /* protocols: Teredo, ORCHID and others */
    {0x20010db8, 32}, /* documentation */
    {0x20020000, 16}, /* 6to4 */
    {0x3fff0000, 20}, /* documentation */
};

#define GLOBAL_FIRST UINT32_C(0x20000000)
#define GLOBAL_BITS 3

static bool in_block(uint32_t address, uint32_t first, unsigned bits)
{
    return (address ^ first) >> (32 - bits) == 0;
}

static uint32_t word_of(const unsigned char *bytes)
{
    return IPV4(bytes[0], bytes[1], bytes[2], bytes[3]);
}

static bool is_public4(uint32_t address)
{
    for (size_t i = 0; i < ARRAY_LEN(special4); i++)
        if (in_block(address, special4[i].first, special4[i].bits))
            return false;
    return true;
}

bool address_is_public(const struct address *address)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(address->bytes, mapped, sizeof mapped) == 0)
        return is_public4(word_of(address->bytes + sizeof mapped));
    uint32_t head = word_of(address->bytes);
    if (!in_block(head, GLOBAL_FIRST, GLOBAL_BITS))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(special6); i++)
        if (in_block(head, special6[i].first, special6[i].bits))
            return false;
    return true;
}
