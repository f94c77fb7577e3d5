#include "common/net/pg/pg_url.h"

#include "common/net/pg/pg_wire.h"

#define LIST_SIZE 4096

size_t pg_url_hosts(const char *url)
{
    struct buf list;
    buf_init(&list, LIST_SIZE);
    int code = pg_wire_url_part(url, "host", &list);
    if (code == 0 && list.len == 0)
        code = pg_wire_url_part(url, "hostaddr", &list);
    size_t count = code == 0 ? pg_hosts_count(buf_text(&list)) : 1; /* a try says what is wrong */
    buf_free(&list);
    return count;
}

int pg_url_host(const char *url, size_t index, struct pg_host *ret_host,
                struct pg_host *ret_address)
{
    struct buf hosts, addresses, ports;
    buf_init(&hosts, LIST_SIZE);
    buf_init(&addresses, LIST_SIZE);
    buf_init(&ports, LIST_SIZE);
    int code = pg_wire_url_part(url, "host", &hosts);
    if (code == 0)
        code = pg_wire_url_part(url, "hostaddr", &addresses);
    if (code == 0)
        code = pg_wire_url_part(url, "port", &ports);
    unsigned turn = (unsigned)index;
    if (code == 0)
        code =
            pg_hosts_pick(buf_text(&hosts), hosts.len > 0 ? buf_text(&ports) : "", turn, ret_host);
    if (code == 0)
        code = pg_hosts_pick(buf_text(&addresses), addresses.len > 0 ? buf_text(&ports) : "", turn,
                             ret_address);
    buf_free(&hosts);
    buf_free(&addresses);
    buf_free(&ports);
    return code;
}
