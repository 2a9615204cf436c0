#!/bin/sh
# The integration tests and unit tests once more, as a user without any rights. test-as-user.sh BUILD_DIR
set -eu
build=$(cd "$1" && pwd)
user=61799
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
# the checkout may lie where that user can't read
mkdir -p "$copy/build"
mkdir -p "$copy/runtime/config"
cp -r tests tools "$copy"
cp runtime/config/azfn.schema.json "$copy/runtime/config"
cp -r "$build/app" "$build/probe_app" "$build/attack_app" "$build/tests" "$build/security_events.json" "$copy/build"
chown -R $user:$user "$copy"
chmod 0755 "$copy"
export AZFN_DEFAULT_APP="$copy/build/app" AZFN_PROBE_APP="$copy/build/probe_app" \
    AZFN_ATTACK_APP="$copy/build/attack_app" TMPDIR="$copy"
failed=""
for test in "$copy"/tests/integration/test_*.py "$copy"/tests/attack/test_*.py; do
    echo "as user $user: $(basename "$test")"
    # the distribution's own: another one may lie where this user can't read
    setpriv --reuid $user --regid $user --clear-groups /usr/bin/python3 -B "$test" -q || failed="$failed $(basename "$test")"
done
if [ -n "$failed" ]; then
    echo "failed as an ordinary user:$failed" >&2
    exit 1
fi
