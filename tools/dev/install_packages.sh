#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs the Debian packages that are missing: install_packages.sh [--checks]
# Without an option what a build and its tests need; with --checks what .ci/run needs besides.
# As root, or through sudo. apt's own words go to a log: they name machines.
set -euo pipefail

packages=(
    gcc g++ cmake ninja-build pkg-config protobuf-c-compiler protobuf-compiler
    libprotobuf-c-dev libzstd-dev libcsv-dev libcmocka-dev libyajl-dev libisal-dev
    libsimdjson-dev libarchive-dev zlib1g-dev python3
)
checks=(clang libclang-rt-14-dev clang-tidy-14 clang-format-14 shellcheck)

case "${1:-}" in
'') ;;
--checks) packages+=("${checks[@]}") ;;
*)
    echo "usage: $0 [--checks]" >&2
    exit 2
    ;;
esac

missing=()
for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
        missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    echo "all packages are there"
    exit 0
fi

options=(-qq -o Acquire::Retries=3 -o Acquire::http::Timeout=60)
as_root=(env DEBIAN_FRONTEND=noninteractive)
[ "$(id -u)" -eq 0 ] || as_root=(sudo -n "${as_root[@]}")
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { "${as_root[@]}" apt-get "${options[@]}" update &&
    "${as_root[@]}" apt-get "${options[@]}" -y --no-install-recommends install "${missing[@]}"; } \
    >"$log" 2>&1 </dev/null; then
    echo "cannot install: ${missing[*]}"
    # lines that name no machine
    grep -E '^E: ' "$log" | grep -v '://' | sed 's/^/    /' || true
    exit 1
fi
echo "installed: ${missing[*]}"
