#!/bin/sh
# Whether an executable was built as it should be: PIE, full RELRO, a stack that can't be executed, stack
# protector, FORTIFY, our own objects for CET (the distribution's archives are not), and no path of the build
# machine. And of a shared object the same. check-hardening.sh FILE ARCHIVE: the archive has the objects of ours, with
# what their compiler says it was told; the file itself where it is made of nothing else.
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
case $file in
*.so) ;;
*) expect "PIE" HAS 'FLAGS_1.*PIE' ;;
esac
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
# gcc writes its options into the debug information
producers=$(readelf -wi "$archive" 2>/dev/null | grep 'DW_AT_producer.*GNU C' | sort -u)
if [ -n "$producers" ]; then
    for option in -fstack-protector-strong -fstack-clash-protection -ftrivial-auto-var-init=zero; do
        echo "$producers" | grep -v -e "$option" >"$facts" || true
        expect "$option for every object of ours" LACKS 'GNU C'
    done
fi
if [ "$(uname -m)" = x86_64 ] && [ "$archive" != "$file" ]; then
    readelf -nW "$archive" | awk '/^File:/ { if (name && !cet) print "NOT-CET", name; name = $2; cet = 0 }
                                  /IBT, SHSTK/ { cet = 1 } END { if (!cet) print "NOT-CET", name }' >"$facts"
    expect "CET (IBT, SHSTK) in every object of ours" LACKS 'NOT-CET'
fi
exit $failed
