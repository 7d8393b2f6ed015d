# Sourced by flash.sh, tests/run.sh and .ci/run from the project's folder: makes .venv, or does nothing if it
# is up to date. Needs Python >= 3.11 and nothing else that has to be installed by hand.
#
# Afterwards .venv/bin is first on PATH. On failure: one sentence on stderr, exit 2.

fieldpost_fail() {
    echo "fieldpost: $1" >&2
    exit 2
}

# Runs a command as root: directly, or by sudo if that asks for no password.
fieldpost_as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

# Installs a distribution's package quietly; fails without noise where that is not possible.
fieldpost_apt_install() {
    command -v apt-get >/dev/null || return 1
    {
        fieldpost_as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq -y --no-install-recommends "$1" ||
            { fieldpost_as_root apt-get update -qq &&
                fieldpost_as_root env DEBIAN_FRONTEND=noninteractive \
                    apt-get install -qq -y --no-install-recommends "$1"; }
    } >/dev/null 2>&1
}

fieldpost_find_python() {
    for candidate in python3 python3.13 python3.12 python3.11 python3.14; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Runs a command and shows what it said only if it fails.
fieldpost_quietly() {
    log=.venv/setup.log
    "$@" >$log 2>&1 || {
        cat $log >&2
        return 1
    }
}

fieldpost_make_venv() {
    python=$(fieldpost_find_python) ||
        fieldpost_fail "no Python >= 3.11 on PATH: install python3 (Debian 12, Ubuntu 24.04 and newer have it)"
    # Debian keeps the part of Python that puts pip into an environment in a package of its own.
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        echo "fieldpost: installing $package" >&2
        fieldpost_apt_install "$package" ||
            fieldpost_fail "$package is missing: run 'sudo apt install $package', then try again"
    fi
    echo "fieldpost: installing the Python packages that requirements.txt pins, about half a minute" >&2
    rm -rf .venv
    mkdir .venv
    fieldpost_quietly "$python" -m venv .venv ||
        fieldpost_fail "cannot make a virtual environment in $PWD/.venv (see above)"
    # esptool comes as source only; it is plain Python.
    fieldpost_quietly .venv/bin/python -m pip install --disable-pip-version-check --only-binary :all: \
        --no-binary esptool --require-hashes -r requirements.txt ||
        fieldpost_fail "pip could not install requirements.txt (see above): check the network and pip config"
    fieldpost_quietly .venv/bin/python -m pip install --disable-pip-version-check --no-deps \
        --no-build-isolation --editable . || fieldpost_fail "pip could not install the project (see above)"
    echo "$fieldpost_wanted" >.venv/made-from
}

# An environment that is active is the one that is about to be made anew: what it was made of must be found behind it.
PATH=$(printf %s "$PATH" | tr : '\n' | grep -vxF "$PWD/.venv/bin" | paste -sd : -)

# Remade when the packages change, when the project's own packaging does, and when the folder has moved, since
# an environment knows its place by name.
fieldpost_wanted="$PWD $(sed '/^\[tool\.ruff/,$d' pyproject.toml | cat requirements.txt - | sha256sum)"
if [ "$(cat .venv/made-from 2>/dev/null)" != "$fieldpost_wanted" ] || ! .venv/bin/python -c '' 2>/dev/null; then
    fieldpost_make_venv
fi
PATH="$PWD/.venv/bin:$PATH"
export PATH
