#!/bin/sh
# Off-screen rendering needs libEGL and a driver behind it. Installs them where that is allowed, else says how.
set -eu
PATH=$PATH:/usr/sbin:/sbin  # where ldconfig is, which ordinary users do not have on theirs
packages="libegl1 libgl1-mesa-dri libgl1"
if ldconfig -p | grep -q 'libEGL\.so\.1' && ls /usr/share/glvnd/egl_vendor.d/*.json >/dev/null 2>&1; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing $packages (off-screen rendering)"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $packages >/dev/null
    exit 0
fi
echo "off-screen rendering: libEGL is missing; run: sudo apt-get install $packages" >&2
exit 1
