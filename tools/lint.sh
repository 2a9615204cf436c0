#!/bin/sh
# The static checks: clang-tidy and cppcheck over the runtime, the functions and the tools, and rules of our own.
# lint.sh BUILD_DIR: a build configured for clang, for its compile_commands.json.
set -eu
build=$1
sources=$(find runtime handlers tools -name '*.c')

# functions that have a safer sibling
banned='\b(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|gets|alloca|strncpy)[[:space:]]*\('
# shellcheck disable=SC2086  # a list of files
if grep -nE "$banned" $sources; then
    echo "lint: banned functions" >&2
    exit 1
fi
# what must stay testable byte by byte knows nothing of the event loop
pure="runtime/base runtime/channel runtime/config runtime/worker/http_parser.c runtime/worker/http_parser.h
      runtime/worker/http_response.c runtime/worker/http_response.h runtime/worker/envelope.c runtime/worker/envelope.h
      runtime/worker/router.c runtime/worker/router.h"
# shellcheck disable=SC2086
if grep -rnE '#include <(uv|sys/socket)\.h>' $pure; then
    echo "lint: a pure module includes the event loop or sockets" >&2
    exit 1
fi

# the public header stands alone, in C and in C++
for language in c c++; do
    echo '#include <azfn.h>' | clang -Wall -Wextra -Werror -I runtime/include -fsyntax-only -x $language -
done

# the README shows hello.c as it is
if ! sed -n '/^#include "functions.h"/,$p' handlers/hello/hello.c | python3 -c '
import sys
sys.exit(sys.stdin.read() not in open("README.md", encoding="utf-8").read())'; then
    echo "lint: README.md shows another hello.c" >&2
    exit 1
fi

# two at a time; it says "N warnings generated" on stderr whatever it finds
# shellcheck disable=SC2086
printf '%s\n' $sources | xargs -P 2 -n 8 clang-tidy --quiet -p "$build" 2>/dev/null
cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability --inline-suppr \
    --suppress=missingIncludeSystem -I runtime -I runtime/include -D_GNU_SOURCE runtime handlers tools/security-events
for script in tools/setup.sh tools/lint.sh tools/fuzz.sh; do
    sh -n "$script"
done
echo "lint: nothing found"
