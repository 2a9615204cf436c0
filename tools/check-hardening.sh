#!/bin/sh
# Whether an executable was built as it should be: PIE, full RELRO, a stack that can't be executed, stack
# protector, FORTIFY, our own objects for CET (the distribution's archives are not), and no path of the build
# machine. check-hardening.sh EXECUTABLE ARCHIVE
set -eu
file=$1
archive=$2
failed=0
facts=$(mktemp)
trap 'rm -f "$facts"' EXIT

# expect WHAT HAS|LACKS PATTERN: looks into $facts
expect() {
    found=LACKS
    grep -Eq "$3" "$facts" && found=HAS
    if [ "$found" = "$2" ]; then
        echo "hardening: $1"
    else
        echo "hardening: MISSING $1" >&2
        failed=1
    fi
}

readelf -dW "$file" >"$facts"
expect "PIE" HAS 'FLAGS_1.*PIE'
expect "BIND_NOW" HAS 'BIND_NOW|FLAGS_1.*NOW'
expect "no RPATH" LACKS 'RPATH|RUNPATH'
readelf -lW "$file" >"$facts"
expect "RELRO" HAS 'GNU_RELRO'
expect "a stack that can't be executed" HAS 'GNU_STACK.* RW '
expect "no segment both writable and executable" LACKS 'LOAD.*RWE'
readelf -sW "$file" >"$facts"
expect "stack protector" HAS '__stack_chk_fail'
expect "FORTIFY" HAS '__(vsnprintf|snprintf|memcpy|read)_chk'
strings -a "$file" >"$facts"
expect "no path of the build machine" LACKS "$(pwd)"
if [ "$(uname -m)" = x86_64 ]; then
    readelf -nW "$archive" | awk '/^File:/ { if (name && !cet) print "NOT-CET", name; name = $2; cet = 0 }
                                  /IBT, SHSTK/ { cet = 1 } END { if (!cet) print "NOT-CET", name }' >"$facts"
    expect "CET (IBT, SHSTK) in every object of ours" LACKS 'NOT-CET'
fi
exit $failed
