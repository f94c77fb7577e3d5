/* Where the servers are, from the settings. The results live as long as `cfg`. */
#ifndef COMMON_SERVICE_SERVERS_H
#define COMMON_SERVICE_SERVERS_H

#include "common/net/amqp/broker.h"
#include "common/net/redis/redis.h"
#include "common/service/cfg.h"

/* `name`: of the connection, for operators. */
struct broker_options servers_broker(const struct cfg *cfg, const char *name);
struct redis_server servers_redis(const struct cfg *cfg);

#endif
