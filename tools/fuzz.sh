#!/bin/sh
# Runs every fuzz target for a while, from its committed corpus. fuzz.sh BUILD_DIR SECONDS
# What is found stays in BUILD_DIR/fuzz-findings.
set -eu
build=$1
seconds=$2
findings=$build/fuzz-findings
mkdir -p "$findings"
for target in "$build"/fuzz/fuzz_*; do
    [ -x "$target" ] || continue
    name=$(basename "$target" | sed 's/^fuzz_//')
    work=$build/fuzz-corpus/$name
    mkdir -p "$work"
    dictionary=""
    case $name in
    http_*) dictionary="-dict=tests/fuzz/http.dict" ;;
    json_scan | envelope | config) dictionary="-dict=tests/fuzz/json.dict" ;;
    esac
    # shellcheck disable=SC2086  # empty or one word
    if ! "$target" "$work" "tests/fuzz/corpus/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -artifact_prefix="$findings/$name-" -print_final_stats=1 $dictionary >"$build/fuzz-$name.log" 2>&1; then
        tail -n 40 "$build/fuzz-$name.log"
        echo "fuzz: $name found something, see $findings" >&2
        exit 1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/fuzz-$name.log")
    echo "fuzz: $name, $runs runs, nothing found"
done
