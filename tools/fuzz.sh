#!/bin/sh
# Runs every fuzz target, or the named ones, for SECONDS each, from its committed corpus; as many at a time as there are
# processors, or JOBS. fuzz.sh BUILD_DIR SECONDS [NAME...]
# FUZZ_SEED=N makes the same choices in each run.
# What is found stays in BUILD_DIR/fuzz-findings, and the new inputs in BUILD_DIR/fuzz-corpus: a later run goes on from
# there, and tools/fuzz-corpus.sh takes the best of them into the tree.
set -eu

# one target; its line on stdout, and on stderr what it found
run_one() {
    build=$1 seconds=$2 name=$3
    work=$build/fuzz-corpus/$name
    log=$build/fuzz-$name.log
    mkdir -p "$work"
    case $name in
    http_*) words=http ;;
    json_scan | envelope | config) words=json ;;
    channel_* | frame | log_line) words=channel ;;
    *) words=$name ;;
    esac
    # programs, and frames that are mostly length, find more when they are short
    case $name in
    http_connection | channel_*) max=1024 ;;
    *) max=4096 ;;
    esac
    # a world that is kept from input to input grows: leaks are looked for at the end
    case $name in
    http_connection | channel_* | answer) leaks=0 ;;
    *) leaks=1 ;;
    esac
    status=0
    # a small quarantine fits into the cache
    ASAN_OPTIONS=${ASAN_OPTIONS:-quarantine_size_mb=16} "$build/fuzz/fuzz_$name" "$work" "tests/fuzz/corpus/$name" \
        -max_total_time="$seconds" -max_len=$max -detect_leaks=$leaks -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 ${FUZZ_SEED:+"-seed=$FUZZ_SEED"} \
        -artifact_prefix="$build/fuzz-findings/$name-" "-dict=tests/fuzz/$words.dict" >"$log" 2>&1 || status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    speed=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
    if [ "$status" -ne 0 ]; then
        grep -E 'does not hold|^wrong:|ERROR: |SUMMARY: |runtime error: |Test unit written' "$log" >&2 ||
            tail -n 40 "$log" >&2
        echo "fuzz: $name found something: see $log and $build/fuzz-findings/$name-*" >&2
        return 1
    fi
    echo "fuzz: $name, $runs runs, $speed a second, nothing found"
}

build=$1
seconds=$2
shift 2
mkdir -p "$build/fuzz-findings"
if [ "${1-}" = --one ]; then
    run_one "$build" "$seconds" "$2"
    exit
fi
if [ $# -eq 0 ]; then
    for target in "$build"/fuzz/fuzz_*; do
        [ -x "$target" ] && [ -f "$target" ] && set -- "$@" "${target##*/fuzz_}"
    done
fi
# all of them run, also behind one that finds something
printf '%s\n' "$@" | xargs -P "${JOBS:-$(nproc)}" -I NAME "$0" "$build" "$seconds" --one NAME
