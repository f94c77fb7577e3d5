#include "common/service/servers.h"

struct broker_options servers_broker(const struct cfg *cfg, const char *name)
{
    return (struct broker_options){.urls = cfg_str(cfg, CFG_AMQP_URL),
                                   .name = name,
                                   .heartbeat_s =
                                       (uint32_t)(cfg_int(cfg, CFG_AMQP_HEARTBEAT) / 1000),
                                   .tls = {.ca = cfg_str(cfg, CFG_AMQP_CA_FILE),
                                           .certificate = cfg_str(cfg, CFG_AMQP_CERT_FILE),
                                           .key = cfg_str(cfg, CFG_AMQP_KEY_FILE)}};
}

struct redis_server servers_redis(const struct cfg *cfg)
{
    return (struct redis_server){.url = cfg_str(cfg, CFG_REDIS_URL),
                                 .tls = {.ca = cfg_str(cfg, CFG_REDIS_CA_FILE),
                                         .certificate = cfg_str(cfg, CFG_REDIS_CERT_FILE),
                                         .key = cfg_str(cfg, CFG_REDIS_KEY_FILE)}};
}
