#!/bin/sh
# Installs what the build lacks, with apt, and says so. setup.sh [build|check|fuzz]...: build is the default;
# check adds what the static checks and sanitizers need, fuzz what the fuzzers need, bench the load generator and what counts.
set -eu

packages="gcc binutils libc6-dev make cmake ninja-build pkg-config python3 libuv1-dev libcjson-dev libsodium-dev libseccomp-dev libcmocka-dev
          libcurl4-openssl-dev libssl-dev openssl ca-certificates"
for part in "$@"; do
    case $part in
    build) ;;
    check) packages="$packages clang clang-tidy cppcheck valgrind" ;;
    fuzz) packages="$packages clang libclang-rt-dev" ;;
    bench) packages="$packages wrk util-linux valgrind strace" ;;
    *) echo "setup.sh: unknown part $part" >&2; exit 2 ;;
    esac
done

is_installed() {
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q '^install ok installed$'
}

# Newer systems have libllhttp-dev; Debian 12 has the C sources in node-llhttp.
llhttp=""
if ! is_installed libllhttp-dev && ! is_installed node-llhttp; then
    llhttp="libllhttp-dev"
fi

missing=""
for package in $packages; do
    [ "$package" = libclang-rt-dev ] && continue
    is_installed "$package" || missing="$missing $package"
done
case " $packages " in
*" libclang-rt-dev "*)
    dpkg-query -W -f '${Package} ${Status}\n' 'libclang-rt*-dev' 2>/dev/null | grep -q 'install ok installed$' ||
        missing="$missing libclang-rt-dev"
    ;;
esac
if [ -z "$missing$llhttp" ]; then
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    echo "setup.sh: this needs the packages$missing $llhttp (names as on Debian), and there is no apt-get" >&2
    exit 1
fi
as_root=""
if [ "$(id -u)" != 0 ]; then
    as_root="sudo"
    command -v sudo >/dev/null || { echo "setup.sh: as root, run: apt-get install$missing $llhttp" >&2; exit 1; }
fi

$as_root apt-get update -qq
if [ -n "$llhttp" ] && ! apt-cache show "$llhttp" >/dev/null 2>&1; then
    llhttp="node-llhttp"
fi
case "$missing" in
*" libclang-rt-dev"*)
    if ! apt-cache show libclang-rt-dev >/dev/null 2>&1; then
        version=$(apt-cache depends clang | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
        missing=$(echo "$missing" | sed "s/ libclang-rt-dev/ libclang-rt-$version-dev/")
    fi
    ;;
esac
echo "setup.sh: installing$missing $llhttp"
# shellcheck disable=SC2086  # a list of names
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing $llhttp >/dev/null
