#!/bin/sh
# The unit tests under valgrind, which sees reads of memory that was never written. valgrind.sh BUILD_DIR
set -eu
build=$1
export AZFN_VALGRIND=1 # for tests of what valgrind does in another way than the kernel
for test in "$build"/tests/test_*; do
    [ -x "$test" ] && [ -f "$test" ] || continue
    case $test in
    */test_launcher) continue ;; # it looks at its own descriptors, and valgrind has some more
    esac
    if ! valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,indirect \
        --errors-for-leak-kinds=definite,indirect --child-silent-after-fork=yes "$test" >"$build/valgrind.log" 2>&1; then
        tail -n 60 "$build/valgrind.log"
        echo "valgrind: $test" >&2
        exit 1
    fi
    echo "valgrind: $(basename "$test"), nothing found"
done
