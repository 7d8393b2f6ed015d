#!/bin/sh
# Sets up what the tests need, then runs them: all of them, or the parts named as arguments.
#
#     tests/run.sh                    everything, on all cores; the portable part on MicroPython too
#     tests/run.sh unit/ring          one room, on both interpreters
#     tests/run.sh hub/test_sas.py    one file
set -eu
cd "$(dirname "$0")/.."
. host_tools/setup.sh

section() {
    printf '\n== %s\n' "$1"
}

section "setting up"
# An independent broker and client to test against; tests that need it say so and are skipped without.
command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || fieldpost_apt_install mosquitto ||
    echo "mosquitto is not here and cannot be installed: tests against it are skipped"
# A machine with systemd to install the Debian package on (tests/service/test_debian.py).
command -v systemd-nspawn >/dev/null || { [ "$(id -u)" = 0 ] && fieldpost_apt_install systemd-container; } ||
    echo "systemd-nspawn is not here, or this is not root: the Debian package is not tried on a machine"
PATH="$PATH:/usr/sbin"
tools=$(python -m host_tools.toolchain) || exit 2
eval "$tools" # MICROPYTHON, UMQTT, DRIVERS
export MICROPYTHON UMQTT
echo "MicroPython: $MICROPYTHON"

# Arguments are paths below tests/, with or without that prefix; MicroPython takes those below tests/unit.
everything=yes
portable=
for part; do
    everything=no
    shift
    part=tests/${part#tests/}
    part=${part%/}
    [ -e "${part%%::*}" ] || fieldpost_fail "$part does not exist: name a folder or file below tests/"
    case $part in
    tests/unit | tests/unit/*) portable="$portable ${part%%::*}" ;;
    esac
    set -- "$@" "$part"
done
if [ $everything = yes ]; then
    # Tests wait more than they compute: as many files side by side as there are cores, in the order of their names,
    # since the short ones come last. A file stays in one process, with what its tests share.
    set -- tests -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
    portable=tests/unit
fi

failed=0
if [ -n "$portable" ]; then
    # Beside the others, which wait more than they compute; what it says comes after them.
    said=$(mktemp)
    trap 'rm -f "$said"; kill "$portable_run" 2>/dev/null || :' EXIT
    # shellcheck disable=SC2086 # paths of the project, without spaces
    MICROPYPATH="firmware:tests/unit:firmware/lib:.:$UMQTT:$DRIVERS:.frozen" \
        "$MICROPYTHON" -X heapsize=8M tests/micropython_runner.py $(find $portable -name 'test_*.py' | sort) \
        >"$said" 2>&1 &
    portable_run=$!
fi

section "CPython $(python -c 'import platform; print(platform.python_version())')"
python -m pytest "$@" || failed=1

if [ -n "$portable" ]; then
    section "MicroPython"
    wait "$portable_run" || failed=1
    cat "$said"
fi
exit $failed
