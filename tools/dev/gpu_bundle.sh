#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Collects what tools/dev/gpu_check.sh needs on a machine without development packages:
# gpu_bundle.sh [BUILD [BUNDLE]], by default build/gcc-release into build/gpu.
#
#   tools/peakstep, tracer/   linked again so that they find their libraries beside themselves
#   lib/                      those libraries; of the system only glibc is taken as given
#   libcupti_probe.so         for the questions
#   COMMIT                    what it was built from
#
# The programs of a job that peakstep starts are left with the machine's own libraries: no variable
# of the loader is set.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:-$root/build/gcc-release}" && pwd)
bundle=${2:-$root/build/gpu}

rm -rf "$bundle"
mkdir -p "$bundle/tools" "$bundle/lib"
bundle=$(cd "$bundle" && pwd)

# relink TARGET [static]: the build's own link command, with another output and a place to look;
# static: libraries go into the program where they have a form for that
relink() {
    local target=$1 command output=$bundle/$1 library
    local place="-Wl,--disable-new-dtags,-rpath,'\$ORIGIN/../lib'"
    mkdir -p "$(dirname "$output")"
    command=$(cd "$build" && ninja -t commands -s "$target")
    command=${command/ -o $target / $place -o \'$output\' }
    if [ "${2:-}" = static ]; then
        while read -r library; do
            [ ! -f "${library%.so}.a" ] || command=${command//$library/${library%.so}.a}
        done < <(grep -oE '/[^ ]+\.so( |$)' <<<"$command")
    fi
    if [[ $command != *"$output"* ]]; then
        echo "the link command of $target is not understood: $command"
        exit 1
    fi
    (cd "$build" && bash -c "$command")
    strip "$output"
    collect "$output"
}

# libraries_of FILE: "NAME PATH" lines without glibc
libraries_of() {
    ldd "$1" | awk '$2 == "=>" && $3 ~ /^\// { print $1, $3 }' |
        grep -Ev '^(libc|libm|libdl|libpthread|librt|ld-linux-x86-64)\.so'
}

collect() {
    local name path
    while read -r name path; do
        if [ ! -e "$bundle/lib/$name" ]; then
            cp -L "$path" "$bundle/lib/$name"
            chmod u+w "$bundle/lib/$name"
            strip --strip-unneeded "$bundle/lib/$name"
        fi
    done < <(libraries_of "$1")
}

ninja -C "$build" peakstep >/dev/null
relink tools/peakstep static
if [ -f "$root/tracer/CMakeLists.txt" ]; then
    ninja -C "$build" tracer/libpeakstep_tracer.so >/dev/null
    relink tracer/libpeakstep_tracer.so
fi
if [ -d "$root/tracer/hook" ]; then
    mkdir -p "$bundle/tracer"
    cp -r "$root/tracer/hook" "$bundle/tracer/"
    find "$bundle/tracer" -name __pycache__ -type d -exec rm -r {} +
fi
"${CC:-cc}" -std=c17 -O2 -Wall -Wextra -fvisibility=hidden -shared -fPIC \
    "$root/tests/gpu/cupti_probe.c" -o "$bundle/libcupti_probe.so" -ldl -pthread
{
    git -C "$root" rev-parse --short=12 HEAD | tr -d '\n'
    [ -z "$(git -C "$root" status --porcelain --untracked-files=no)" ] || printf ' with changes'
    echo
} >"$bundle/COMMIT"

# nothing but glibc may come from this machine
for file in "$bundle/tools/peakstep" "$bundle"/tracer/*.so; do
    [ -e "$file" ] || continue
    while read -r name path; do
        if [[ $(realpath "$path") != "$bundle"/lib/* ]]; then
            echo "not in the bundle: $name of $file"
            exit 1
        fi
    done < <(libraries_of "$file")
done
"$bundle/tools/peakstep" --version
du -sh "$bundle" | awk '{ print $1 " to carry" }'
