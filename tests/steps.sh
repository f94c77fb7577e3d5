# What tests/run is made of: steps, test files and their results, and private servers.
# shellcheck shell=bash disable=SC2030,SC2031,SC2034 # tests/run reads some of these; a subshell has a list of its own

BEGAN=$SECONDS
WORK=$(mktemp -d /tmp/checkout-tests.XXXXXX)
chmod 755 "$WORK" # PostgreSQL may run as another user
LOGS=$WORK/logs
mkdir -p "$LOGS"
RESULTS=$WORK/results # a word for each test file, also from the background
: >"$RESULTS"
readonly STEP_MAX=1800 # seconds of a step
readonly BUSY=$((4 * $(nproc))) # processes that want a CPU; with so many, failures prove nothing
readonly REPEATED_MAX=24
REPEATED=$WORK/repeated # a file for each failure that is to be repeated: its settings and its command
mkdir "$REPEATED"
BACKGROUND=() CHILD='' # what runs side by side; the test of the moment

say() { printf '[%4d s] %s\n' $((SECONDS - BEGAN)) "$*"; }

# Stops the servers; with their data if all went well.
end_servers() { # CODE
    local dir how=stop
    (($1 != 0)) || how=remove
    for dir in "$WORK"/services-*; do
        [[ ! -d $dir ]] || deploy/dev/services "$how" --dir "$dir" >/dev/null 2>&1 || true
    done
}

stop_running() {
    local pids=("${BACKGROUND[@]}" ${CHILD:+"$CHILD"})
    ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
    wait
}

finish() {
    local code=$?
    trap - EXIT
    stop_running
    ((KEEP == 1)) || end_servers "$code"
    if ((KEEP == 0 && code == 0)); then
        rm -rf "$WORK"
    else
        echo "logs: $LOGS (servers: $WORK/services-*)"
    fi
    exit $code
}

# side_by_side COMMAND…: in the background, stopped with what it runs. If it does not reach its end, that counts.
side_by_side() {
    (
        BACKGROUND=()
        trap 'code=$?; stop_running; ((code == 0)) || echo failed >>"$RESULTS"' EXIT
        "$@"
    ) &
    BACKGROUND+=($!)
}

await_all() {
    wait "${BACKGROUND[@]}" || true # what failed is counted
    BACKGROUND=()
}

# bounded LOG SECONDS_AT_MOST COMMAND…: its exit code; a signal ends it, too.
bounded() {
    local log=$1 limit=$2 code=0
    shift 2
    timeout --kill-after=20 "$limit" "$@" >"$log" 2>&1 &
    CHILD=$!
    wait "$CHILD" || code=$?
    CHILD=''
    ((code != 124)) || echo "ended after $limit s" >>"$log"
    return "$code"
}

# step WHAT COMMAND…: its output goes to a log, whose end is shown if it fails; that ends the run.
step() {
    local what=$1 log
    shift
    log=$LOGS/${what//[^a-z0-9]/-}.log
    say "$what"
    if ! bounded "$log" "$STEP_MAX" "$@"; then
        tail -n 60 "$log"
        say "$what failed; all of it: $log"
        exit 1
    fi
}

# Whether a name is asked for. Without --only everything is; what runs under the sanitizers only by "asan …".
wanted() { # NAME
    local word
    ((${#ONLY[@]} > 0)) || return 0
    for word in "${ONLY[@]}"; do
        [[ $1 != asan\ * || $word == asan* ]] || continue
        [[ $1 != *"$word"* ]] || return 0
    done
    return 1
}

any_wanted() { # NAME…
    local name
    for name in "$@"; do
        ! wanted "$name" || return 0
    done
    return 1
}

# How many processes want a CPU, in the last minute.
load() { cut -d ' ' -f 1 /proc/loadavg; }

# How many wanted one, in the last minute or in the last five, whichever is more.
highest_load() { cut -d ' ' -f 1,2 /proc/loadavg | tr ' ' '\n' | sort -n | tail -n 1; }

# Whether a failure is to be looked at again: the machine was overloaded, and that was no excuse too often.
to_repeat() { # LOAD
    [[ -n $REPEATED ]] && ((${1%%.*} >= BUSY)) && (($(find "$REPEATED" -type f | wc -l) < REPEATED_MAX))
}

# result CODE SECONDS LOG NAME SECONDS_AT_MOST COMMAND…
result() {
    local code=$1 took=$2 log=$3 name=$4 word=FAIL load
    case $code in
    0) echo passed >>"$RESULTS"; printf 'ok    %-44s %4d s\n' "$name" "$took" ;;
    77) echo skipped >>"$RESULTS"; printf 'skip  %-44s %s\n' "$name" "$(tail -n 1 "$log")" ;;
    *)
        load=$(highest_load)
        if to_repeat "$load"; then
            keep_for_later "${@:4}"
            word=again log=$log.busy
            cp "$3" "$log"
        else
            echo failed >>"$RESULTS"
        fi
        printf '%s\n%-5s %-44s %4d s, load %s, log: %s\n' "$(tail -n 40 "$log" | sed 's/^/      /')" "$word" "$name" \
            "$took" "$load" "$log"
        ;;
    esac
}

# keep_for_later NAME SECONDS_AT_MOST COMMAND…
keep_for_later() {
    {
        declare -p "${!CHECKOUT_@}"
        printf '%q ' test_file "$@"
    } >"$REPEATED/${1//[^A-Za-z0-9]/-}"
}

# left NAME: a test that was not run, since the machine is too slow for all of them.
left() {
    echo left >>"$RESULTS"
    printf 'left  %-44s the machine is slow; --full or --only runs it\n' "$1"
}

# Waits, for five minutes at most, until no more than so many processes want a CPU; one after the other.
await_room() { # PROCESSES
    local end=$((SECONDS + 300)) wanting
    (
        flock 8
        while ((SECONDS < end)); do
            wanting=$(load)
            ((${wanting%%.*} > $1)) || break
            sleep 2
        done
        sleep 1 # until what went on before is seen in the load
    ) 8>"$WORK/room"
}

# test_file NAME SECONDS_AT_MOST COMMAND…
test_file() {
    local name=$1 limit=$2 log began=$SECONDS code=0
    shift 2
    wanted "$name" || return 0
    log=$LOGS/${name//[^A-Za-z0-9]/-}.log
    bounded "$log" "$limit" "$@" || code=$?
    result "$code" $((SECONDS - began)) "$log" "$name" "$limit" "$@"
}

# use_servers DIR: starts them if they do not run, and points the programs at them.
use_servers() {
    step "start private servers in ${1##*/}" flock "$WORK/starting" \
        deploy/dev/services start --dir "$1" # one after the other: each looks for free ports
    point_at "$1"
}

# point_at DIR: at its servers, which run.
point_at() {
    local settings
    settings=$(deploy/dev/services env --dir "$1")
    eval "$settings"
}

count() { grep -c "^$1\$" "$RESULTS" || true; }

# The last line of a run; its exit code.
summary() {
    local text
    say "done"
    text="$(count passed) passed, $(count failed) failed"
    (($(count skipped) == 0)) || text+=", $(count skipped) skipped"
    (($(count left) == 0)) || text+=", $(count left) left"
    ((${#ONLY[@]} == 0)) || [[ -s $RESULTS ]] || say "no test has ${ONLY[*]@Q} in its name; tests/run --help"
    echo "$text"
    (($(count failed) == 0 && $(count passed) > 0))
}
