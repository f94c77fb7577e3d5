/*
 * Every setting, once: X(id, name, type, default, low, high, programs, help).
 * The environment variable is CHECKOUT_<name>. A NULL default means "must be set" for programs that
 * use it; "" means "may be absent". low/high: limits of a number (of a duration: in milliseconds).
 */
#ifndef COMMON_SERVICE_CFG_TABLE_H
#define COMMON_SERVICE_CFG_TABLE_H

#define CFG_PRODUCER 1u
#define CFG_CONSUMER 2u
#define CFG_NOTIFIER 4u
#define CFG_CTL 8u
#define CFG_SANDBOX 16u
#define CFG_MAILER 32u
#define CFG_WEBHOOKS 64u
#define CFG_CONSOLE 128u
#define CFG_REDIS_USERS (CFG_PRODUCER | CFG_CONSUMER | CFG_NOTIFIER)
#define CFG_TRACED (CFG_REDIS_USERS | CFG_MAILER | CFG_WEBHOOKS)
#define CFG_DAEMONS (CFG_TRACED | CFG_CONSOLE)

/* clang-format off */
#define CFG_TABLE(X) \
X(LISTEN, "LISTEN", ADDRESS, "127.0.0.1:8080", 0, 0, CFG_PRODUCER | CFG_NOTIFIER, "address and port to serve on; a producer and a notifier on one host need one each") \
X(ADMIN_LISTEN, "ADMIN_LISTEN", ADDRESS, "127.0.0.1:0", 0, 0, CFG_DAEMONS | CFG_CTL, "address and port of /livez, /readyz and /metrics; port 0 takes a free one and logs it") \
X(LOG_LEVEL, "LOG_LEVEL", LEVEL, "info", 0, 0, CFG_DAEMONS, "lowest level that is logged: debug, info, warning, error") \
X(AMQP_URL, "AMQP_URL", AMQP_URLS, NULL, 0, 0, CFG_PRODUCER | CFG_CONSUMER | CFG_CTL, "RabbitMQ, amqp://user:password@host:port/vhost, or amqps:// for TLS; several nodes separated by commas") \
X(AMQP_PASSWORD_FILE, "AMQP_PASSWORD_FILE", SECRET_FILE, "", 1, 1023, CFG_PRODUCER | CFG_CONSUMER | CFG_CTL, "file with the password for CHECKOUT_AMQP_URL, which then has none; as it is, not percent-encoded") \
X(AMQP_CA_FILE, "AMQP_CA_FILE", FILE, "", 0, 0, CFG_PRODUCER | CFG_CONSUMER | CFG_CTL, "file of CA certificates to check RabbitMQ's certificate with amqps://, and its management API's with https://; empty: the system's") \
X(AMQP_CERT_FILE, "AMQP_CERT_FILE", FILE, "", 0, 0, CFG_PRODUCER | CFG_CONSUMER | CFG_CTL, "file with our own certificate for RabbitMQ, where it wants one") \
X(AMQP_KEY_FILE, "AMQP_KEY_FILE", FILE, "", 0, 0, CFG_PRODUCER | CFG_CONSUMER | CFG_CTL, "file with the key of CHECKOUT_AMQP_CERT_FILE; empty: it is in that file") \
X(AMQP_HEARTBEAT, "AMQP_HEARTBEAT", DURATION, "4s", 1000, 60000, CFG_PRODUCER | CFG_CONSUMER | CFG_CTL, "heartbeat of broker connections") \
X(BROKER_API_URL, "BROKER_API_URL", HTTP_URL, "", 0, 0, CFG_CTL, "base URL of RabbitMQ's management API, such as http://127.0.0.1:15672, where doctor looks for policies and roles rabbitmq --apply makes logins, as the user of CHECKOUT_AMQP_URL; empty: neither") \
X(SHARDS, "SHARDS", POWER_OF_TWO, "", 1, 1024, CFG_PRODUCER | CFG_CONSUMER | CFG_CTL, "number of shards, a power of two, the same for every program; empty: the number in service, or 4 if checkoutctl topology finds none") \
X(QUEUE_MAX_BYTES, "QUEUE_MAX_BYTES", INTEGER, "1073741824", 1048576, 1099511627776, CFG_CTL, "bytes a shard queue may hold before new orders are refused") \
X(QUEUE_REPLICAS, "QUEUE_REPLICAS", INTEGER, "1", 1, 7, CFG_CTL, "members of each quorum queue: 1, or 3 on three broker nodes") \
X(PUBLISH_INFLIGHT, "PUBLISH_INFLIGHT", INTEGER, "16", 1, 64, CFG_PRODUCER, "messages published and not yet confirmed, at most") \
X(CONNECTIONS_MAX, "CONNECTIONS_MAX", INTEGER, "2048", 16, 65536, CFG_PRODUCER | CFG_NOTIFIER, "client connections served at once (about 50 KiB of memory each, a websocket 10 KiB); further ones are refused") \
X(KEEPALIVE, "KEEPALIVE", DURATION, "75s", 1000, 3600000, CFG_PRODUCER, "how long a client's connection is kept without a request; longer than a proxy in front keeps it (60s is usual). 5s when nearly all connections are taken") \
X(ORDERS_PER_USER, "ORDERS_PER_USER", RATE, "60/1m", 0, 100000, CFG_PRODUCER, "orders of one customer: so many at once, and as many again in that time; the next are refused (429); 0: no limit") \
X(ORDERS_PER_ADDRESS, "ORDERS_PER_ADDRESS", RATE, "0", 0, 100000, CFG_PRODUCER, "orders from one client address (of IPv6: its first 64 bits), which many customers may share; 0: no limit") \
X(OPEN_ORDERS_PER_USER, "OPEN_ORDERS_PER_USER", INTEGER, "0", 0, 1000, CFG_PRODUCER | CFG_CONSUMER, "orders of one customer that have not ended yet, at most, the same for producers and consumers; the next are refused (429); 0: no limit") \
X(BAD_TOKENS_PER_ADDRESS, "BAD_TOKENS_PER_ADDRESS", RATE, "0", 0, 100000, CFG_PRODUCER, "refused tokens of one client address, in each process; after them its tokens that are not known as good are refused unread (429); 0: no limit") \
X(TRUSTED_PROXIES, "TRUSTED_PROXIES", NETWORKS, "", 0, 0, CFG_PRODUCER, "addresses and networks of the proxies in front, separated by commas, whose X-Forwarded-For says who the client is. Limits of addresses need it behind a proxy: without it all clients are one address") \
X(DRAIN_DELAY, "DRAIN_DELAY", DURATION, "0s", 0, 600000, CFG_PRODUCER | CFG_NOTIFIER, "how long after SIGTERM new connections are still served, while /readyz says no: until every balancer has noticed") \
X(SOCKETS_PER_USER, "SOCKETS_PER_USER", INTEGER, "16", 1, 1024, CFG_NOTIFIER, "websockets of one user at once; further ones are refused") \
X(SOCKET_PING, "SOCKET_PING", DURATION, "20s", 500, 300000, CFG_NOTIFIER, "time between pings of a websocket; without an answer until the next ping it is closed") \
X(DATABASE_URL, "DATABASE_URL", DATABASE_URL, NULL, 0, 0, CFG_DAEMONS | CFG_CTL, "PostgreSQL, postgresql://user:password@host:port/database; for TLS with ?sslmode=verify-full&sslrootcert=FILE") \
X(DATABASE_PASSWORD_FILE, "DATABASE_PASSWORD_FILE", SECRET_FILE, "", 1, 1023, CFG_DAEMONS | CFG_CTL, "file with the password for CHECKOUT_DATABASE_URL, which then has none; as it is, not percent-encoded") \
X(DATABASE_SESSIONS, "DATABASE_SESSIONS", INTEGER, "2", 1, 16, CFG_CONSUMER, "sessions a consumer writes through; its shards are spread over them") \
X(REDIS_URL, "REDIS_URL", REDIS_URL, NULL, 0, 0, CFG_REDIS_USERS | CFG_CTL, "Redis, redis://:password@host:port/database, or rediss:// for TLS") \
X(REDIS_PASSWORD_FILE, "REDIS_PASSWORD_FILE", SECRET_FILE, "", 1, 255, CFG_REDIS_USERS | CFG_CTL, "file with the password for CHECKOUT_REDIS_URL, which then has none; as it is, not percent-encoded") \
X(REDIS_CA_FILE, "REDIS_CA_FILE", FILE, "", 0, 0, CFG_REDIS_USERS | CFG_CTL, "file of CA certificates to check Redis' certificate with rediss://; empty: the system's") \
X(REDIS_CERT_FILE, "REDIS_CERT_FILE", FILE, "", 0, 0, CFG_REDIS_USERS | CFG_CTL, "file with our own certificate for Redis, where it wants one") \
X(REDIS_KEY_FILE, "REDIS_KEY_FILE", FILE, "", 0, 0, CFG_REDIS_USERS | CFG_CTL, "file with the key of CHECKOUT_REDIS_CERT_FILE; empty: it is in that file") \
X(REDIS_VOUCHES_AFTER, "REDIS_VOUCHES_AFTER", DURATION, "24h", 0, 31536000000, CFG_PRODUCER, "how long Redis must have lost nothing before its word counts that an order is new; until then PostgreSQL is asked about each. It counts from the start of Redis' process, from a key that it evicted, from FLUSHALL, FLUSHDB, SWAPDB, DEBUG or CONFIG RESETSTAT, from the end of its time as a replica, and from the moment when another process answers than before. With less than 24h, the life of a marker, a repeat with another body may be answered 202 after such a loss") \
X(JWT_SECRET_FILE, "JWT_SECRET_FILE", SECRET_FILE, NULL, 32, 4096, CFG_PRODUCER | CFG_NOTIFIER | CFG_CTL, "file with the HS256 secret of buyers' tokens (32 bytes at least); may be absent with CHECKOUT_JWKS_FILE") \
X(JWT_PREVIOUS_SECRET_FILE, "JWT_PREVIOUS_SECRET_FILE", SECRET_FILE, "", 32, 4096, CFG_PRODUCER | CFG_NOTIFIER, "file with the previous HS256 secret, whose tokens are still taken during a rotation") \
X(JWKS_FILE, "JWKS_FILE", FILE, "", 0, 0, CFG_PRODUCER | CFG_NOTIFIER, "file with the public keys of an identity provider (a JSON Web Key Set: RS256, ES256, EdDSA); read again when it changes and on SIGHUP") \
X(JWT_ISSUER, "JWT_ISSUER", STRING, "", 0, 0, CFG_PRODUCER | CFG_NOTIFIER | CFG_CTL, "what the claim iss of buyers' tokens must be; empty: anything") \
X(JWT_LEEWAY, "JWT_LEEWAY", DURATION, "0s", 0, 300000, CFG_PRODUCER | CFG_NOTIFIER | CFG_CONSOLE, "how long after its exp a token is still taken, because clocks differ; as long, and 60s at least, before its nbf and iat") \
X(TICKET_SECRET_FILE, "TICKET_SECRET_FILE", SECRET_FILE, "", 32, 4096, CFG_PRODUCER | CFG_NOTIFIER | CFG_CTL, "file with the secret of event tickets, the same for producers and notifiers; empty: it is derived from CHECKOUT_JWT_SECRET_FILE's") \
X(CONSOLE_LISTEN, "CONSOLE_LISTEN", ADDRESS, "127.0.0.1:8083", 0, 0, CFG_CONSOLE, "address and port to serve the shop's API on; for the shop's own programs and people, not for buyers") \
X(CONSOLE_JWKS_FILE, "CONSOLE_JWKS_FILE", FILE, NULL, 0, 0, CFG_CONSOLE, "file with the public keys that sign the tokens of the shop's own programs and people, whose aud is checkout-console (a JSON Web Key Set: RS256, ES256, EdDSA; HS256 is not taken); read again when it changes and on SIGHUP") \
X(CONSOLE_ISSUER, "CONSOLE_ISSUER", STRING, "", 0, 0, CFG_CONSOLE, "what the claim iss of these tokens must be; empty: anything") \
X(CONSOLE_ORIGINS, "CONSOLE_ORIGINS", ORIGINS, "", 0, 0, CFG_CONSOLE, "origins at which browsers reach the operators' page, like https://ops.shop.example, separated by commas; its Host must be one of them; empty: where it listens, and localhost") \
X(ORDER_SECRET_FILE, "ORDER_SECRET_FILE", SECRET_FILE, NULL, 32, 4096, CFG_PRODUCER | CFG_CONSUMER | CFG_CTL, "file with the secret that authenticates order ids (32 bytes at least); made once, never changed") \
X(ORIGINS, "ORIGINS", ORIGINS, "", 0, 0, CFG_PRODUCER | CFG_NOTIFIER, "origins of web pages and apps that may call us, like https://shop.example or capacitor://localhost, separated by commas; * for every one") \
X(EVENTS_URL, "EVENTS_URL", WS_URL, "ws://127.0.0.1:8081/v1/events", 0, 0, CFG_PRODUCER, "absolute URL of the notifier as buyers reach it") \
X(TICKET_TTL, "TICKET_TTL", DURATION, "10m", 10000, 86400000, CFG_PRODUCER, "how long the ticket in an events_url opens a websocket") \
X(WAIT_MAX, "WAIT_MAX", DURATION, "15m", 1000, 86400000, CFG_CONSUMER, "longest time that an order waits for an item") \
X(ACTION_WAIT, "ACTION_WAIT", DURATION, "10m", 1000, 86400000, CFG_CONSUMER, "how long a unit is held for a buyer who must act at the bank (3-D Secure)") \
X(TRACE, "TRACE", BOOLEAN, "false", 0, 0, CFG_PRODUCER, "whether an order whose request has no traceparent (W3C Trace Context) gets a new one; one that has one keeps it in any case") \
X(TRACE_RATIO, "TRACE_RATIO", RATIO, "0", 0, 0, CFG_TRACED, "of how many orders spans are made, the same for every program: 0.01 is one in a hundred; which ones only the order's id decides, and no client; needs CHECKOUT_OTLP_ENDPOINT") \
X(OTLP_ENDPOINT, "OTLP_ENDPOINT", HTTP_URL, "", 0, 0, CFG_TRACED, "base URL of an OpenTelemetry collector (OTLP/HTTP), like http://127.0.0.1:4318, to whose /v1/traces spans are posted as JSON; empty: no spans are made") \
X(OTLP_HEADERS_FILE, "OTLP_HEADERS_FILE", SECRET_HEADERS_FILE, "", 1, 4096, CFG_TRACED, "file with header lines for the collector, like Authorization: Bearer TOKEN, up to 8; empty: none") \
X(OTLP_CA_FILE, "OTLP_CA_FILE", FILE, "", 0, 0, CFG_TRACED, "file of CA certificates to check the collector's certificate with https://; empty: the system's") \
X(OTLP_TIMEOUT, "OTLP_TIMEOUT", DURATION, "10s", 100, 60000, CFG_TRACED, "longest wait for one answer of the collector") \
X(SAVED_METHODS, "SAVED_METHODS", BOOLEAN, "false", 0, 0, CFG_PRODUCER, "whether orders may be paid by methods that the gateway keeps for its customer, whom the claim gateway_customer of the buyer's token names; only when every consumer is of this release or a later one") \
X(MAIL, "MAIL", BOOLEAN, "false", 0, 0, CFG_PRODUCER, "whether buyers get mails about their orders, at the address in the claim email of their tokens, where email_verified is true; needs checkout-mailer") \
X(MAIL_TO_ANY, "MAIL_TO_ANY", BOOLEAN, "false", 0, 0, CFG_PRODUCER, "whether, with CHECKOUT_MAIL, mails about an order whose token has no verified address go to the receipt_email of its body, which is not verified") \
X(SMTP_URL, "SMTP_URL", SMTP_URLS, NULL, 0, 0, CFG_MAILER, "mail server, smtp://user@host:port, which must offer STARTTLS unless CHECKOUT_SMTP_TLS is false, or smtps:// for TLS from the start; several that do the same, separated by commas") \
X(SMTP_PASSWORD_FILE, "SMTP_PASSWORD_FILE", SECRET_FILE, "", 1, 255, CFG_MAILER, "file with the password for CHECKOUT_SMTP_URL, which then has none; as it is, not percent-encoded") \
X(SMTP_CA_FILE, "SMTP_CA_FILE", FILE, "", 0, 0, CFG_MAILER, "file of CA certificates to check the mail server's certificate; empty: the system's") \
X(SMTP_TLS, "SMTP_TLS", BOOLEAN, "true", 0, 0, CFG_MAILER, "whether smtp:// is used with STARTTLS only; false where the mail server is on the same host and takes no login") \
X(SMTP_NAME, "SMTP_NAME", WORD, "", 0, 0, CFG_MAILER, "name that this host gives of itself to mail servers (EHLO), of which some want one with a dot; empty: the system's, or without a dot in that the host of CHECKOUT_MAIL_FROM") \
X(SMTP_TIMEOUT, "SMTP_TIMEOUT", DURATION, "60s", 1000, 600000, CFG_MAILER, "longest time that one attempt to send a mail may take") \
X(MAIL_FROM, "MAIL_FROM", EMAIL, NULL, 0, 0, CFG_MAILER, "address that mails come from") \
X(MAIL_FROM_NAME, "MAIL_FROM_NAME", LINE, "", 1, 100, CFG_MAILER, "name of the shop, beside that address and in the mails; empty: the host of the address") \
X(MAIL_ORDER_URL, "MAIL_ORDER_URL", PAGE_URL, "", 0, 0, CFG_MAILER, "page of the shop that mails link to, with a query or without; order=ID is added to its query; empty: no link") \
X(MAIL_TEMPLATES, "MAIL_TEMPLATES", STRING, "", 0, 0, CFG_MAILER, "folder with templates of the shop's own, each in place of the one that has its name; empty: none") \
X(MAIL_INFLIGHT, "MAIL_INFLIGHT", INTEGER, "16", 1, 64, CFG_MAILER, "mails that one process sends at once, at most") \
X(MAIL_PER_ADDRESS, "MAIL_PER_ADDRESS", INTEGER, "30", 1, 100000, CFG_MAILER, "mails to one address in an hour, at most; others wait for the next hour") \
X(MAIL_GIVE_UP, "MAIL_GIVE_UP", DURATION, "48h", 1000, 2592000000, CFG_MAILER, "for how long a mail is tried that the mail server does not take, from the first time that it was offered") \
X(HOOKS_SECRETS, "HOOKS_SECRETS", STRING, "/etc/checkout/webhooks", 0, 0, CFG_WEBHOOKS | CFG_CTL, "folder with the keys that sign webhooks to the shop's backend: a file for each endpoint, of its name, with a key a line (whsec_ or whsk_); read again when one changes and on SIGHUP") \
X(HOOKS_HTTP, "HOOKS_HTTP", BOOLEAN, "false", 0, 0, CFG_WEBHOOKS | CFG_CTL, "whether endpoints may be http:// too, where events and answers can be read and changed on their way") \
X(HOOKS_ALLOW, "HOOKS_ALLOW", NETWORKS, "", 0, 0, CFG_WEBHOOKS, "addresses and networks, separated by commas, that webhooks may go to although they are not of the public internet: 10.1.2.0/24, 127.0.0.1; empty: none") \
X(HOOKS_CA_FILE, "HOOKS_CA_FILE", FILE, "", 0, 0, CFG_WEBHOOKS, "file of CA certificates to check the certificates of endpoints; empty: the system's") \
X(HOOKS_TIMEOUT, "HOOKS_TIMEOUT", DURATION, "15s", 100, 60000, CFG_WEBHOOKS, "longest time that one delivery of a webhook may take") \
X(HOOKS_INFLIGHT, "HOOKS_INFLIGHT", INTEGER, "16", 1, 64, CFG_WEBHOOKS, "webhooks to one endpoint at once, at most") \
X(HOOKS_GIVE_UP, "HOOKS_GIVE_UP", DURATION, "72h", 1000, 2592000000, CFG_WEBHOOKS, "for how long a webhook is tried while others to its endpoint arrive") \
X(HOOKS_PAUSE_AFTER, "HOOKS_PAUSE_AFTER", DURATION, "24h", 1000, 2592000000, CFG_WEBHOOKS, "an endpoint that took nothing for so long is paused until `checkoutctl webhooks resume`; keep it below CHECKOUT_HOOKS_GIVE_UP") \
X(HOOKS_KEEP, "HOOKS_KEEP", DURATION, "168h", 1000, 2592000000, CFG_WEBHOOKS, "how long deliveries that ended are shown, and can be made again") \
X(WEBHOOK_SECRET_FILE, "WEBHOOK_SECRET_FILE", SECRET_WORD_FILE, "", 8, 4096, CFG_PRODUCER | CFG_CTL, "file with the secret of the gateway's webhooks; empty: webhooks are refused") \
X(WEBHOOK_LIVEMODE, "WEBHOOK_LIVEMODE", BOOLEAN, "", 0, 0, CFG_PRODUCER | CFG_CTL, "whether the gateway's webhooks must be about real money (true) or test payments (false); others are ignored; empty: either") \
X(GATEWAY_URL, "GATEWAY_URL", HTTP_URL, NULL, 0, 0, CFG_CONSUMER | CFG_CTL, "base URL of the payment gateway (Stripe's API)") \
X(GATEWAY_KEY_FILE, "GATEWAY_KEY_FILE", SECRET_WORD_FILE, NULL, 8, 4096, CFG_CONSUMER | CFG_CTL, "file with the gateway's secret key") \
X(GATEWAY_VERSION, "GATEWAY_VERSION", WORD, "2023-10-16", 0, 0, CFG_CONSUMER | CFG_CTL, "version of the gateway's API to use (Stripe-Version); empty: the account's own") \
X(GATEWAY_METHODS, "GATEWAY_METHODS", METHODS, "card", 0, 0, CFG_CONSUMER, "payment methods that are accepted, separated by commas; automatic: those of the gateway's account") \
X(GATEWAY_RETURN_URL, "GATEWAY_RETURN_URL", PAGE_URL, "", 0, 0, CFG_CONSUMER, "page of the shop that banks send buyers back to, with a query or without; empty: no payment may need a redirect") \
X(GATEWAY_CA_FILE, "GATEWAY_CA_FILE", FILE, "", 0, 0, CFG_CONSUMER | CFG_CTL, "file of CA certificates to check the gateway's TLS certificate; empty: the system's") \
X(GATEWAY_INFLIGHT, "GATEWAY_INFLIGHT", INTEGER, "256", 1, 10000, CFG_CONSUMER, "payments in flight at once, at most") \
X(GATEWAY_INFLIGHT_FIRST, "GATEWAY_INFLIGHT_FIRST", INTEGER, "16", 1, 10000, CFG_CONSUMER, "payments in flight at once after a start (those that take over a second do not count); one more with each round of answers; while the gateway refuses many as too many (429), as many a second as it takes") \
X(GATEWAY_TIMEOUT, "GATEWAY_TIMEOUT", DURATION, "30s", 100, 300000, CFG_CONSUMER | CFG_CTL, "longest wait for one answer of the gateway") \
X(GATEWAY_LIMIT, "GATEWAY_LIMIT", DURATION, "90s", 100, 600000, CFG_CONSUMER, "time within which the gateway ends what it executes: a payment that it does not list then was not made") \
X(GATEWAY_KEY_AGE, "GATEWAY_KEY_AGE", DURATION, "20h", 1000, 82800000, CFG_CONSUMER, "from this age an idempotency key is looked up and not sent again; keep it below the gateway's own limit") \
X(NAME, "NAME", STRING, "", 0, 0, CFG_CONSUMER, "name that operators see for this process; empty: host:pid") \
X(SANDBOX_LEDGER, "SANDBOX_LEDGER", STRING, "", 0, 0, CFG_SANDBOX, "file of the sandbox gateway's charges")
/* clang-format on */

#endif
