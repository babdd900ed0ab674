#!/bin/sh
# Makes the virtual environment $2 with the Python $1. Debian keeps what that needs in a package of its own: installs it
# where that is allowed, else says how. What an earlier try left half made is made anew.
set -eu
python=$1 environment=$2
if [ -x "$environment/bin/python" ] && "$environment/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing python$version-venv (virtual environments)"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "python$version-venv" >/dev/null
    else
        echo "virtual environments: $python has no ensurepip; run: sudo apt-get install python$version-venv" >&2
        exit 1
    fi
fi
"$python" -m venv --clear "$environment"
