# shellcheck shell=bash
# Helpers that scripts share. To be sourced; it does nothing by itself.

readonly LISTEN=127.0.0.1

# The first word of a message is the script that speaks.
fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

now_ms() {
    local now=${EPOCHREALTIME/[.,]/}
    echo "${now%???}"
}

# Seconds since a now_ms, with one digit behind the point.
seconds_since() {
    local ms=$(($(now_ms) - $1))
    printf '%d.%d' $((ms / 1000)) $((ms % 1000 / 100))
}

secret() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

port_taken() { (exec 3<>"/dev/tcp/$LISTEN/$1") 2>/dev/null; }

# A port on which nobody answers, other than those given. It lies below the range from which the system takes
# ports for outgoing connections, and is drawn at random, so that two scripts at a time seldom draw one.
free_port() { # NOT_THIS_PORT…
    local port
    while :; do
        port=$((12000 + (RANDOM * 32768 + RANDOM) % 20000))
        [[ " $* " == *" $port "* ]] || port_taken "$port" || break
    done
    echo "$port"
}
