#!/bin/sh
# Puts fieldpost on a board, real or emulated: `./flash.sh` lists the boards, `./flash.sh emulator` starts one.
# Sets up what is missing, then hands every word to `fieldpost flash`.
set -eu
here=$PWD
cd "$(dirname "$0")"
project=$PWD
. host_tools/setup.sh
cd "$here"
exec "$project/.venv/bin/fieldpost" flash "$@"
