#!/bin/sh
# Makes the committed corpora anew out of themselves and what tools/fuzz.sh has found: one input, the smallest, for each
# part of the code that is reached. fuzz-corpus.sh BUILD_DIR [NAME...]
set -eu
build=$1
shift
if [ $# -eq 0 ]; then
    for target in "$build"/fuzz/fuzz_*; do
        [ -x "$target" ] && [ -f "$target" ] && set -- "$@" "${target##*/fuzz_}"
    done
fi
for name in "$@"; do
    corpus=tests/fuzz/corpus/$name
    merged=$build/fuzz-merged/$name
    rm -rf "$merged"
    mkdir -p "$merged" "$corpus" "$build/fuzz-corpus/$name"
    "$build/fuzz/fuzz_$name" -merge=1 -use_counters=0 -max_len=512 "$merged" "$corpus" "$build/fuzz-corpus/$name" \
        >"$build/fuzz-merge-$name.log" 2>&1
    # those with names are examples for people: they stay
    find "$corpus" -type f -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
    cp "$merged"/* "$corpus"/
    # an example that was chosen is there twice now
    for input in "$corpus"/*; do
        [ -f "$input" ] || continue
        sum=$(sha1sum <"$input" | cut -d ' ' -f 1)
        case $input in
        */"$sum") ;;
        *) rm -f "$corpus/$sum" ;;
        esac
    done
    echo "fuzz-corpus: $name, $(find "$corpus" -type f | wc -l) inputs, $(du -sb "$corpus" | cut -f 1) bytes"
done
