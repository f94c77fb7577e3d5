# shellcheck shell=bash
# Private RabbitMQ nodes, one or three in a cluster, with an epmd of their own (Erlang's register of nodes).
# Needs lib.sh, process.sh and the settings NODES, CLUSTER, EPMD_PORT, AMQP_PORT_n, DIST_PORT_n, PASSWORD.

readonly RABBITMQ_BIN=/usr/lib/rabbitmq/bin

amqp_port() { local name=AMQP_PORT_$1; echo "${!name}"; }
dist_port() { local name=DIST_PORT_$1; echo "${!name}"; }
# A test may give a node an epmd of its own, which leads it to the other nodes by other ports.
epmd_port() { local name=RABBITMQ_EPMD_PORT_$1; echo "${!name:-$EPMD_PORT}"; }
node_name() { echo "$CLUSTER-$1@localhost"; }

# The broker opens its port when it has booted. Our greeting is answered by a frame with its properties, among
# them the cluster's name, so that no other broker is taken for ours.
amqp_answers() { # NODE
    # shellcheck disable=SC2016 # the inner shell expands
    timeout 3 bash -c '
        exec 3<>"/dev/tcp/$0/$1" && printf "AMQP\0\0\11\1" >&3 &&
            dd bs=64K count=1 status=none <&3 | grep -qa "$2"
    ' "$LISTEN" "$(amqp_port "$1")" "$CLUSTER-"
}

# Our epmd and, should a node have started one in its place, that: it has our port in its environment.
epmds() {
    local process program
    for process in /proc/[0-9]*; do
        read -r program 2>/dev/null <"$process/comm" || continue
        [[ $program == epmd ]] || continue
        if tr '\0' '\n' 2>/dev/null <"$process/environ" | grep -qx "ERL_EPMD_PORT=$EPMD_PORT"; then
            echo "${process#/proc/}"
        fi
    done
}

start_epmd() {
    ! running epmd >/dev/null && [[ -z $(epmds) ]] || return 0
    mkdir -p "$DIR/rabbitmq"
    launch epmd "$DIR/rabbitmq" "$DIR/rabbitmq/epmd.log" \
        env ERL_EPMD_PORT="$EPMD_PORT" epmd -port "$EPMD_PORT" -address "$LISTEN"
    WAIT_QUIETLY=1 wait_for epmd "$DIR/rabbitmq/epmd.log" port_taken "$EPMD_PORT"
}

stop_epmd() {
    local pid
    for pid in $(running epmd) $(epmds); do
        kill -TERM "$pid" 2>/dev/null || true
    done
    rm -f "$DIR/epmd.pid"
}

rabbitmq_config() { # NODE
    local other
    cat <<CONF
listeners.tcp.1 = $LISTEN:$(amqp_port "$1")
loopback_users = none
default_user = checkout
default_pass = $PASSWORD
disk_free_limit.absolute = 50MB
log.file.level = info
CONF
    [[ -z ${RABBITMQ_MORE_CONF:-} ]] || cat "$RABBITMQ_MORE_CONF" # what a test adds, such as listeners of TLS
    ((NODES > 1)) || return 0
    echo "cluster_partition_handling = pause_minority"
    echo "cluster_formation.peer_discovery_backend = classic_config"
    for ((other = 1; other <= NODES; other++)); do
        echo "cluster_formation.classic_config.nodes.$other = $(node_name "$other")"
    done
}

# The whole environment of a node and its tools: nothing of a system-wide one is looked at. Told that something
# waits for its end (as systemd would), the start script becomes the server instead of waiting in front of it.
# A node that hangs is given up by the others after net_ticktime (75 s if unsaid): till then consumers that were
# connected there count as the active ones.
rabbitmq_environment() { # NODE
    local home=$DIR/rabbitmq$1
    cat <<ENV
HOME=$DIR/rabbitmq
LANG=C.UTF-8
PATH=$RABBITMQ_BIN:/usr/sbin:/usr/bin:/sbin:/bin
RUNNING_UNDER_SYSTEMD=1
ERL_EPMD_PORT=$(epmd_port "$1")
ERL_EPMD_ADDRESS=$LISTEN
RABBITMQ_NODENAME=$(node_name "$1")
RABBITMQ_NODE_IP_ADDRESS=$LISTEN
RABBITMQ_NODE_PORT=$(amqp_port "$1")
RABBITMQ_DIST_PORT=$(dist_port "$1")
RABBITMQ_MNESIA_BASE=$home/data
RABBITMQ_LOG_BASE=$home
RABBITMQ_ENABLED_PLUGINS_FILE=$home/enabled_plugins
RABBITMQ_CONFIG_FILE=$home/rabbitmq.conf
RABBITMQ_CONF_ENV_FILE=/dev/null
RABBITMQ_PID_FILE=$home/pid
RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} -kernel net_ticktime 10 +sbwt none +sbwtdcpu none +sbwtdio none
ENV
}

start_rabbitmq() { # NODE
    local name=rabbitmq$1 home=$DIR/rabbitmq$1 environment
    mkdir -p "$home/data"
    (umask 077 && rabbitmq_config "$1" >"$home/rabbitmq.conf")
    echo '[].' >"$home/enabled_plugins"
    mapfile -t environment < <(rabbitmq_environment "$1")
    still_wanted
    launch "$name" "$home" "$home/out" env -i "${environment[@]}" "$RABBITMQ_BIN/rabbitmq-server"
    wait_for "$name" "$home/out" amqp_answers "$1"
}

# What all nodes share. Nodes whose very first start was cut off begin again from nothing.
prepare_rabbitmq() {
    local node home=$DIR/rabbitmq
    mkdir -p "$home"
    if [[ ! -f $home/.erlang.cookie ]]; then
        (umask 077 && secret >"$home/.erlang.cookie.new")
        chmod 400 "$home/.erlang.cookie.new"
        mv "$home/.erlang.cookie.new" "$home/.erlang.cookie"
    fi
    for ((node = 1; node <= NODES; node++)); do
        ! running "rabbitmq$node" >/dev/null || break
    done
    if ((node > NODES)) && [[ -f $home/starting || ! -d ${home}1/data ]]; then
        touch "$home/starting"
        rm -rf "$home"[1-9]/data
    fi
    start_epmd
}

# After the first start of all nodes.
await_cluster() {
    local environment
    if ((NODES > 1)); then
        mapfile -t environment < <(rabbitmq_environment 1)
        env -i "${environment[@]}" "$RABBITMQ_BIN/rabbitmqctl" -q await_online_nodes "$NODES" --timeout 60 \
            >>"$DIR/rabbitmq1/out" 2>&1 || trouble rabbitmq1 "$DIR/rabbitmq1/out" "found no cluster of $NODES"
    fi
    rm -f "$DIR/rabbitmq/starting"
}
