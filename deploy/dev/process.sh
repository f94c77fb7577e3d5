# shellcheck shell=bash
# Servers as processes: started so that none runs unnoted, known for ever by pid and time of start, and ended
# without touching another's. Needs DIR, the directory of the notes, and lib.sh.

readonly STOP_SECONDS=30

# What may run in a server's own working directory: the server and its helpers.
readonly SERVER_PROGRAMS=' postgres redis-server beam.smp erl_child_setup inet_gethost rabbitmq-server '

# When a process began, in clock ticks since boot; fails if it has ended.
began() { # PID
    local stat
    local -a field
    read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
    read -ra field <<<"${stat##*) }"
    [[ ${field[0]} != [ZX] ]] || return 1
    echo "${field[19]}"
}

note() { # NAME PID
    local when
    when=$(began "$2") || return 1
    echo "$2 $when" >"$DIR/$1.pid.$BASHPID"
    mv "$DIR/$1.pid.$BASHPID" "$DIR/$1.pid"
}

# The pid noted for NAME, if that very process still runs and no later one has got its number.
running() { # NAME
    local pid when
    read -r pid when 2>/dev/null <"$DIR/$1.pid" || return 1
    [[ $(began "$pid") == "$when" ]] || return 1
    echo "$pid"
}

# Starts COMMAND in HOME as a session of its own, which keeps nothing of ours open. It notes its pid before it
# becomes the server: whenever this script dies, stop finds everything that it has started.
launch() { # NAME HOME LOG COMMAND…
    local name=$1 home=$2 log=$3 fd
    shift 3
    (
        cd "$home" || exit 1
        note "$name" "$BASHPID"
        for fd in /proc/self/fd/*; do
            fd=${fd##*/}
            ((fd <= 2)) || exec {fd}>&-
        done
        exec setsid "$@"
    ) >>"$log" 2>&1 </dev/null &
    note "$name" $! || true # it may be gone already; who waits for it will see
}

# Processes of a server that live in its working directory HOME, noted or not: no one else works there.
residents() { # HOME
    local process program
    for process in /proc/[0-9]*; do
        [[ $process/cwd -ef $1 ]] || continue
        read -r program 2>/dev/null <"$process/comm" || continue
        [[ $SERVER_PROGRAMS != *" $program "* ]] || echo "${process#/proc/}"
    done
}

# all_ended TENTHS NAME HOME: waits until neither the server nor anything in its directory is left.
all_ended() {
    local tries
    for ((tries = 0; tries < $1; tries++)); do
        if ! running "$2" >/dev/null && [[ -z $(residents "$3") ]]; then
            return 0
        fi
        sleep 0.1
    done
    return 1
}

# Ends a server by SIGNAL, and what it leaves behind by SIGKILL.
stop_process() { # NAME HOME SIGNAL
    local name=$1 home=$2 signal=$3 pid='' tries
    if pid=$(running "$name"); then
        kill "-$signal" "$pid" 2>/dev/null || true
        kill -CONT "$pid" 2>/dev/null || true # a stopped process would take no notice
    fi
    if [[ $signal != KILL && -n $pid ]]; then
        all_ended $((STOP_SECONDS * 10)) "$name" "$home" ||
            printf '  %-10s did not stop within %d s: killed\n' "$name" "$STOP_SECONDS"
    fi
    for ((tries = 0; tries < 20; tries++)); do
        if all_ended 3 "$name" "$home"; then
            rm -f "$DIR/$name.pid"
            return 0
        fi
        # shellcheck disable=SC2046,SC2086 # words are pids
        kill -KILL $(running "$name") $(residents "$home") 2>/dev/null || true
    done
    fail "$name (pid $(running "$name")) does not end, not even by SIGKILL"
}
