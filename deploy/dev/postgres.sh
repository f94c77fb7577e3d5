# shellcheck shell=bash
# A private PostgreSQL: as durable as it comes, reachable by password on the loopback address.
# Needs lib.sh, process.sh and the settings POSTGRES_DIR, POSTGRES_PORT, PASSWORD.

# The folder of the newest version's programs.
postgres_bin() {
    local newest
    newest=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    [[ -x $newest/postgres ]] && echo "$newest"
}

# PostgreSQL refuses root, who therefore becomes the package's user.
as_postgres() {
    if ((EUID == 0)); then
        (cd / && exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$@")
    else
        "$@"
    fi
}

# Prints where the data may lie: in DIR, or elsewhere if PostgreSQL's user cannot enter it.
postgres_place() {
    local place=$DIR/postgres
    mkdir -p "$place"
    chmod 700 "$place"
    if ((EUID == 0)); then
        chown postgres: "$place"
        if ! as_postgres test -x "$place"; then
            rmdir "$place"
            place=$(mktemp -d /var/tmp/checkout-postgres.XXXXXX)
            chown postgres: "$place"
        fi
    fi
    echo "$place"
}

postgres_init() { # BIN
    local data=$POSTGRES_DIR/data new=$POSTGRES_DIR/data.new pwfile=$POSTGRES_DIR/pwfile
    [[ ! -f $data/PG_VERSION ]] || return 0
    rm -rf "$new" # of a start that was cut off
    as_postgres tee "$pwfile" >/dev/null <<<"$PASSWORD" # the directory is closed to others
    as_postgres "$1/initdb" -D "$new" --username=checkout --auth=scram-sha-256 --encoding=UTF8 \
        --locale=C.UTF-8 --pwfile="$pwfile" >"$DIR/postgres.init.log" 2>&1 ||
        trouble postgres "$DIR/postgres.init.log" "could not be initialised"
    as_postgres tee -a "$new/postgresql.conf" >/dev/null <<CONF
listen_addresses = '$LISTEN'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 512MB
max_wal_size = 2GB
checkpoint_timeout = 15min
fsync = on
synchronous_commit = on
full_page_writes = on
log_line_prefix = '%m [%p] %q%a '
CONF
    rm -f "$pwfile"
    as_postgres mv "$new" "$data"
}

# A postmaster that was killed leaves a file with its pid, which keeps the next one from starting while any
# process has that number.
forget_dead_postgres() {
    local data=$POSTGRES_DIR/data pid
    read -r pid 2>/dev/null <"$data/postmaster.pid" || return 0
    [[ -n $(began "$pid") && /proc/$pid/cwd -ef $data ]] || rm -f "$data/postmaster.pid"
}

postgres_query() { # DATABASE SQL
    PGPASSWORD=$PASSWORD PGCONNECT_TIMEOUT=3 "$(postgres_bin)/psql" -XqAt -h "$LISTEN" -p "$POSTGRES_PORT" \
        -U checkout -d "$1" -c "$2"
}

postgres_answers() { postgres_query postgres 'select 1'; }

start_postgres() {
    local bin data=$POSTGRES_DIR/data log=$POSTGRES_DIR/log
    bin=$(postgres_bin)
    postgres_init "$bin"
    forget_dead_postgres
    still_wanted
    # a test may start it through a program of its own, which sets its clock
    local command=("${POSTGRES_PROGRAM:-$bin/postgres}" -D "$data" -p "$POSTGRES_PORT")
    if ((EUID == 0)); then
        command=(setpriv --reuid=postgres --regid=postgres --init-groups -- "${command[@]}")
    fi
    launch postgres "$POSTGRES_DIR" "$log" "${command[@]}"
    wait_for postgres "$log" postgres_answers
    [[ $(postgres_query postgres "select 1 from pg_database where datname = 'checkout'") == 1 ]] ||
        postgres_query postgres 'create database checkout'
}
