#include "producer/admission/redis_script.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "common/base/encode.h"
#include "common/base/log.h"
#include "common/base/rate.h"
#include "common/identity/names.h"
#include "common/shop/ids.h"
#include "common/shop/job.h"
#include "common/shop/redis_keys.h"

#define KEY_SIZE (sizeof REDIS_KEY_SEEN + JOB_SKU_MAX) /* or of an order's id */
#define LIMIT_PREFIX_SIZE (sizeof REDIS_KEY_LIMIT + sizeof "address:")
#define LIMIT_KEY_SIZE (LIMIT_PREFIX_SIZE + JWT_USER_SIZE)
#define NUMBER_SIZE 24
#define SHA1_BYTES 20
#define OPEN_KEY_SIZE (sizeof REDIS_KEY_OPEN + JWT_USER_SIZE)
#define FIXED_ARGS 5 /* EVAL, script, number of keys, number of limits, open orders */
#define ORDER_ARGS (4 + LIMIT_KINDS)
#define REFUSED_KINDS 8      /* how the answer packs a kind and a time into one number */
#define REFUSED_OPEN 7       /* the kind of too many open orders */
#define OPEN_WAIT_US 5000000 /* most payments have ended by then */

#define SEEN_S REDIS_KEYS_TEXT(REDIS_KEY_SEEN_LIFE_S)
#define OPEN_MS REDIS_KEYS_TEXT(REDIS_KEY_OPEN_LIFE_MS)
#define OPEN_REFUSED                                                                               \
    "-(" REDIS_KEYS_TEXT(OPEN_WAIT_US) " * " KINDS_TEXT " + " REDIS_KEYS_TEXT(REFUSED_OPEN) ")"
#define KINDS_TEXT REDIS_KEYS_TEXT(REFUSED_KINDS)
#define LOCK_MS REDIS_KEYS_TEXT(REDIS_KEY_LOCK_LIFE_MS)

/*
 * KEYS, for each order: its marker, its item's state, its limits, L of them, and if open orders are
 * limited (O of a customer at once; 0: any number) those of its customer. ARGV: L, O, then of each
 * limit its step and its room, then of each order its fingerprint. The arithmetic of the limits is
 * that of common/base/rate.c. Refused by limit n for w us: -(w * 8 + n).
 *
 * It is most of what an order costs Redis: each call costs more than what it does, so states and
 * limits are read by one (`has`), and %d is cheaper than a number, which Redis writes as %.17g.
 */
static const char ask_script[] =
    "local call, format = redis.call, string.format "
    "local L, O, out, read, has, full = tonumber(ARGV[1]), tonumber(ARGV[2]), {}, {}, {}, {} "
    "local each, args, now = 2 + L + (O > 0 and 1 or 0), 2 + 2 * L, 0 "
    "if each > 2 then local time = call('TIME') now = time[1] * 1000000 + time[2] end "
    "for k = 0, #KEYS - each, each do "
    "  for n = 2, 2 + L do read[#read+1] = KEYS[k+n] end "
    "end "
    "local values, steps, rooms = call('MGET', unpack(read)), {}, {} "
    "for i = 1, #read do has[read[i]] = values[i] end "
    "for n = 1, L do steps[n], rooms[n] = tonumber(ARGV[2*n+1]), tonumber(ARGV[2*n+2]) end "
    "for i = 1, #KEYS / each do "
    "  local k, code, lock = (i - 1) * each, 0, nil "
    "  local seen, item, print, id = KEYS[k+1], KEYS[k+2], ARGV[args+i], nil "
    "  local mode, state = string.match(has[item] or '', '^(%l+):(%l+)$') "
    "  local old, sold = nil, state == 'sold' and mode ~= 'none' "
    "  if sold then old = call('GET', seen) "
    "  else old = call('SET', seen, print, 'NX', 'GET', 'EX', '" SEEN_S "') end "
    "  if old then code = (old == print) and 1 or 2 elseif sold then code = 3 else "
    "    if mode == 'lock' or O > 0 then "
    "      id = string.sub(seen, #'" REDIS_KEY_SEEN "' + 1) "
    "    end "
    "    if mode == 'lock' then "
    "      lock = '" REDIS_KEY_LOCK "' .. string.sub(item, #'" REDIS_KEY_GATE "' + 1) "
    "      local owner = call('GET', lock) "
    "      code = (owner and owner ~= id) and 4 or 5 "
    "    end "
    "    local wait = 0 "
    "    for n = 1, code == 4 and 0 or L do "
    "      local at, last = tonumber(has[KEYS[k+2+n]] or 0) or 0, now + rooms[n] "
    "      if not (at > now) then at = now elseif at > last then at = last end "
    "      full[n] = at + steps[n] "
    "      local over = full[n] - last "
    "      if over > wait then wait, code = over, -(over * " KINDS_TEXT " + n) end "
    "    end "
    "    if O > 0 and (code == 0 or code == 5) then "
    "      local open, ms = KEYS[k+each], now / 1000 "
    "      local gone = redis.pcall('ZREMRANGEBYSCORE', open, '-inf', format('%.0f', ms)) "
    "      if type(gone) == 'table' then call('DEL', open) end "
    "      if call('ZCARD', open) >= O then code = " OPEN_REFUSED " "
    "      else "
    "        call('ZADD', open, format('%.0f', ms + " OPEN_MS "), id) "
    "        call('PEXPIRE', open, " OPEN_MS ") "
    "      end "
    "    end "
    "    if code == 0 or code == 5 then "
    "      for n = 1, L do "
    "        local key, value = KEYS[k+2+n], format('%d', full[n]) "
    "        has[key] = value "
    "        call('SET', key, value, 'PX', format('%d', (full[n] - now) / 1000 + 1)) "
    "      end "
    "      if lock then call('SET', lock, id, 'NX', 'PX', " LOCK_MS ") end "
    "    else call('DEL', seen) end "
    "  end "
    "  out[i] = code "
    "end "
    "return out";

/* KEYS: marker, lock, and the limits whose places are returned. ARGV: fingerprint, the id whose
 * lock is released or "", and the step of each limit. */
#define PUT_BACK                                                                                   \
    "local time = #KEYS > 2 and redis.call('TIME') or {0, 0} "                                     \
    "local now = time[1] * 1000000 + time[2] "                                                     \
    "for n = 3, #KEYS do "                                                                         \
    "  local at = (tonumber(redis.call('GET', KEYS[n]) or 0) or 0) - tonumber(ARGV[n]) "           \
    "  if not (at > now) then redis.call('DEL', KEYS[n]) else "                                    \
    "    redis.call('SET', KEYS[n], string.format('%.0f', at), "                                   \
    "      'PX', math.ceil((at - now) / 1000)) end "                                               \
    "end "
#define UNLOCK "if redis.call('GET', KEYS[2]) == ARGV[2] then redis.call('DEL', KEYS[2]) end "

static const char mend_script[] =
    "redis.call('SET', KEYS[1], ARGV[1], 'EX', " SEEN_S ") " UNLOCK PUT_BACK "return 0";

static const char take_back_script[] =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) " PUT_BACK
    "end " UNLOCK "return 0";

/* ---- a command ---- */

struct command {
    const char **argv;
    size_t *argv_len;
    size_t argc;
};

static void add(struct command *command, const char *value, size_t len)
{
    command->argv[command->argc] = value;
    command->argv_len[command->argc++] = len;
}

static void add_text(struct command *command, const char *value)
{
    add(command, value, strlen(value));
}

static void add_key(struct command *command, char *ret_key, size_t size, const char *prefix,
                    const char *name)
{
    size_t prefix_len = strlen(prefix);
    size_t name_len = strlen(name);
    if (name_len > size - prefix_len)
        name_len = size - prefix_len; /* no name is so long */
    char *end = mempcpy(mempcpy(ret_key, prefix, prefix_len), name, name_len);
    add(command, ret_key, (size_t)(end - ret_key)); /* its length goes with it */
}

static void add_number(struct command *command, char ret_number[NUMBER_SIZE], int64_t number)
{
    int len = snprintf(ret_number, NUMBER_SIZE, "%" PRId64, number);
    add(command, ret_number, (size_t)len);
}

struct used_limits {
    enum limit_kind kinds[LIMIT_KINDS];
    char prefixes[LIMIT_KINDS][LIMIT_PREFIX_SIZE]; /* of their keys */
    size_t count;
    char numbers[2 * LIMIT_KINDS + 2][NUMBER_SIZE];
};

static void use_limits(struct used_limits *used, const struct limits *limits)
{
    used->count = limits_kinds(limits, used->kinds);
    for (size_t i = 0; i < used->count; i++)
        (void)snprintf(used->prefixes[i], LIMIT_PREFIX_SIZE,
                       REDIS_KEY_LIMIT "%s:", limit_kind_name(used->kinds[i]));
}

static int64_t open_max(const struct limits *limits)
{
    return limits_rate(limits, LIMIT_OPEN)->count;
}

/* Their number, how many orders may be open, and the step and the room of each. */
static void add_rates(struct command *command, struct used_limits *used,
                      const struct limits *limits)
{
    add_number(command, used->numbers[0], (int64_t)used->count);
    add_number(command, used->numbers[1], open_max(limits));
    for (size_t i = 0; i < used->count; i++) {
        const struct rate *rate = limits_rate(limits, used->kinds[i]);
        add_number(command, used->numbers[2 * i + 2], rate_step_us(rate));
        add_number(command, used->numbers[2 * i + 3], rate_room_us(rate));
    }
}

static void add_limit_keys(struct command *command, const struct used_limits *used,
                           char ret_keys[LIMIT_KINDS][LIMIT_KEY_SIZE],
                           const struct admission_entry *entry)
{
    for (size_t i = 0; i < used->count; i++) {
        const char *name = entry->names.of[used->kinds[i]];
        add_key(command, ret_keys[i], LIMIT_KEY_SIZE, used->prefixes[i], name);
    }
}

/* ---- */

/* By which Redis knows the script; NULL: that cannot be said. */
static const char *ask_digest(void)
{
    static char digest[HEX_SIZE(SHA1_BYTES)];
    unsigned char bytes[SHA1_BYTES];
    if (digest[0] == '\0' &&
        EVP_Digest(ask_script, sizeof ask_script - 1, bytes, NULL, EVP_sha1(), NULL) == 1)
        hex_encode(bytes, sizeof bytes, digest);
    return digest[0] == '\0' ? NULL : digest;
}

int redis_script_ask(struct redis *redis, const struct limits *limits,
                     struct admission_entry *const *entries, size_t count, bool known,
                     redis_reply_cb answered, void *arg)
{
    const char *digest = known ? ask_digest() : NULL;
    char keys[2 * REDIS_SCRIPT_ORDERS_MAX][KEY_SIZE];
    char limit_keys[REDIS_SCRIPT_ORDERS_MAX][LIMIT_KINDS][LIMIT_KEY_SIZE];
    char open_keys[REDIS_SCRIPT_ORDERS_MAX][OPEN_KEY_SIZE];
    char number[NUMBER_SIZE];
    const char *argv[FIXED_ARGS + 2 * LIMIT_KINDS + ORDER_ARGS * REDIS_SCRIPT_ORDERS_MAX];
    size_t argv_len[ARRAY_LEN(argv)];
    struct command command = {argv, argv_len, 0};
    struct used_limits used;
    use_limits(&used, limits);
    add_text(&command, digest == NULL ? "EVAL" : "EVALSHA");
    if (digest == NULL)
        add(&command, ask_script, sizeof ask_script - 1);
    else
        add_text(&command, digest);
    bool counts_open = open_max(limits) > 0;
    add_number(&command, number, (int64_t)((2 + used.count + (counts_open ? 1 : 0)) * count));
    for (size_t i = 0; i < count; i++) {
        add_key(&command, keys[2 * i], KEY_SIZE, REDIS_KEY_SEEN, entries[i]->order_id);
        add_key(&command, keys[2 * i + 1], KEY_SIZE, REDIS_KEY_GATE, entries[i]->sku);
        add_limit_keys(&command, &used, limit_keys[i], entries[i]);
        if (counts_open)
            add_key(&command, open_keys[i], OPEN_KEY_SIZE, REDIS_KEY_OPEN,
                    entries[i]->names.of[LIMIT_USER]);
    }
    add_rates(&command, &used, limits);
    for (size_t i = 0; i < count; i++)
        add_text(&command, entries[i]->fingerprint);
    return redis_command(redis, command.argc, argv, argv_len, answered, arg);
}

bool redis_script_missing(const struct redis_reply *reply)
{
    static const char prefix[] = "NOSCRIPT";
    return reply->type == REDIS_ERROR && reply->len >= sizeof prefix - 1 &&
           memcmp(reply->str, prefix, sizeof prefix - 1) == 0;
}

enum admission_verdict redis_script_verdict(const struct limits *limits,
                                            const struct redis_reply *item,
                                            struct admission_entry *entry)
{
    static const enum admission_verdict verdicts[] = {ADMISSION_PASS,       ADMISSION_RETRY,
                                                      ADMISSION_OTHER_BODY, ADMISSION_SOLD_OUT,
                                                      ADMISSION_TAKEN,      ADMISSION_LOCKED};
    if (item->type != REDIS_INTEGER || item->integer >= (int64_t)ARRAY_LEN(verdicts))
        return ADMISSION_OPEN;
    if (item->integer >= 0)
        return verdicts[item->integer];
    enum limit_kind kinds[LIMIT_KINDS];
    int64_t number = -(item->integer % REFUSED_KINDS);
    bool too_many_open = number == REFUSED_OPEN && open_max(limits) > 0;
    if (!too_many_open && (number == 0 || number > (int64_t)limits_kinds(limits, kinds)))
        return ADMISSION_OPEN;
    entry->refused = (struct limit_refusal){.kind = too_many_open ? LIMIT_OPEN : kinds[number - 1],
                                            .wait_us = -(item->integer / REFUSED_KINDS)};
    return ADMISSION_LIMITED;
}

/* An order that is not let in after all, or was before, counts no more as open; where it is, that
 * is seen again. */
static void forget_open(struct redis *redis, const struct limits *limits,
                        const struct admission_entry *entry)
{
    char key[OPEN_KEY_SIZE];
    const char *argv[3];
    size_t argv_len[ARRAY_LEN(argv)];
    struct command command = {argv, argv_len, 0};
    if (open_max(limits) == 0)
        return;
    add_text(&command, "ZREM");
    add_key(&command, key, OPEN_KEY_SIZE, REDIS_KEY_OPEN, entry->names.of[LIMIT_USER]);
    add_text(&command, entry->order_id);
    if (redis_command(redis, command.argc, argv, argv_len, NULL, NULL) < 0)
        log_debug("open order not removed; it expires by itself");
}

static void change(struct redis *redis, const char *script, struct used_limits *used,
                   const struct limits *limits, const struct admission_entry *entry,
                   const char *fingerprint, const char *lock_id)
{
    char seen[KEY_SIZE];
    char lock[KEY_SIZE];
    char limit_keys[LIMIT_KINDS][LIMIT_KEY_SIZE];
    char number[NUMBER_SIZE];
    const char *argv[FIXED_ARGS + 2 * LIMIT_KINDS + ORDER_ARGS];
    size_t argv_len[ARRAY_LEN(argv)];
    struct command command = {argv, argv_len, 0};
    add_text(&command, "EVAL");
    add_text(&command, script);
    add_number(&command, number, (int64_t)(2 + used->count));
    add_key(&command, seen, KEY_SIZE, REDIS_KEY_SEEN, entry->order_id);
    add_key(&command, lock, KEY_SIZE, REDIS_KEY_LOCK, entry->sku);
    add_limit_keys(&command, used, limit_keys, entry);
    add_text(&command, fingerprint);
    add_text(&command, lock_id);
    for (size_t i = 0; i < used->count; i++)
        add_number(&command, used->numbers[i], rate_step_us(limits_rate(limits, used->kinds[i])));
    if (redis_command(redis, command.argc, argv, argv_len, NULL, NULL) < 0)
        log_debug("admission marker not changed; it expires by itself");
}

void redis_script_mend(struct redis *redis, const struct limits *limits,
                       const struct admission_entry *entry, const char *fingerprint, bool unlock,
                       bool put_back)
{
    struct used_limits used = {.count = 0};
    if (put_back) {
        use_limits(&used, limits);
        forget_open(redis, limits, entry);
    }
    change(redis, mend_script, &used, limits, entry, fingerprint, unlock ? entry->order_id : "");
}

void redis_script_take_back(struct redis *redis, const struct limits *limits,
                            const struct admission_entry *entry)
{
    struct used_limits used;
    use_limits(&used, limits);
    forget_open(redis, limits, entry);
    change(redis, take_back_script, &used, limits, entry, entry->fingerprint, entry->order_id);
}
