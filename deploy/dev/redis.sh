# shellcheck shell=bash
# A private Redis that keeps nothing on disk. Needs lib.sh, process.sh and the settings REDIS_PORT, PASSWORD.

redis_answers() {
    [[ $(REDISCLI_AUTH=$PASSWORD timeout 3 redis-cli -h "$LISTEN" -p "$REDIS_PORT" ping) == PONG ]]
}

start_redis() {
    mkdir -p "$DIR/redis"
    (
        umask 077
        cat >"$DIR/redis/redis.conf" <<CONF
bind $LISTEN
port $REDIS_PORT
requirepass $PASSWORD
dir $DIR/redis
save ""
appendonly no
CONF
    )
    launch redis "$DIR/redis" "$DIR/redis/log" redis-server "$DIR/redis/redis.conf"
    wait_for redis "$DIR/redis/log" redis_answers
}
