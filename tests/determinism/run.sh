#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Same input, same bytes: builds peakstep with gcc and clang, at -O0 and -O3, runs the verbs of this
# version on the sample traces, and compares the SHA-256 of every output. Verbs that use threads
# run with one thread and with several.
#
#   run.sh [BUILD [VARIANT=PEAKSTEP]...]
#
# BUILD is the folder for the four builds (default build/determinism). A command that is already built
# by that compiler at that level stands in for a variant: gcc-O0=build/gcc-debug/tools/peakstep.
# PS_DETERMINISM_INPUTS names further inputs, separated by spaces. Ends with "N compared, N differ".
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build/determinism}
variants=(gcc-O0 gcc-O3 clang-O0 clang-O3)

# --- four binaries ---------------------------------------------------------------------------

mkdir -p "$build"
build=$(cd "$build" && pwd)
declare -A binary=()
for given in "${@:2}"; do
    if [[ " ${variants[*]} " != *" ${given%%=*} "* ]] || [ ! -x "${given#*=}" ]; then
        echo "not a variant and its command: $given"
        exit 2
    fi
    binary[${given%%=*}]=$(realpath "${given#*=}")
done
for variant in "${variants[@]}"; do
    [ -z "${binary[$variant]:-}" ] || continue
    binary[$variant]=$build/$variant/tools/peakstep
    compiler=${variant%-*}
    cxx=g++
    [ "$compiler" = clang ] && cxx=clang++
    level=-${variant#*-}
    log=$build/$variant.log
    if ! { cmake -S "$root" -B "$build/$variant" -G Ninja -DCMAKE_BUILD_TYPE=None \
        -DCMAKE_C_COMPILER="$compiler" -DCMAKE_CXX_COMPILER="$cxx" \
        -DCMAKE_C_FLAGS="$level" -DCMAKE_CXX_FLAGS="$level" -DPS_TESTS=OFF &&
        cmake --build "$build/$variant" --target peakstep; } >"$log" 2>&1; then
        tail -n 30 "$log"
        echo "$variant does not build"
        exit 1
    fi
done

# --- inputs ----------------------------------------------------------------------------------

inputs=()
shopt -s nullglob
for file in "$root"/traces/*.{json,json.gz,pickle,pstrace} "$root"/traces/*/*.{json,json.gz,pickle,pstrace} \
    "$root"/tests/fuzz/corpus/{kineto,snapshot}/*; do
    [ -f "$file" ] && inputs+=("$file")
done
for file in ${PS_DETERMINISM_INPUTS:-}; do
    inputs+=("$file")
done
shopt -u nullglob
if [ ${#inputs[@]} -eq 0 ]; then
    echo "no inputs"
    exit 1
fi

# --- runs ------------------------------------------------------------------------------------

has_verb() {
    "${binary[gcc-O0]}" "$1" --help >/dev/null 2>&1
}

# The help is read whole first: grep -q closes the pipe at the first match, and the verb then fails.
has_option() {
    local help
    help=$("${binary[gcc-O0]}" "$1" --help 2>/dev/null) || return 1
    [[ $help == *"$2"* ]]
}

readers=() # verbs that print a trace for people and as JSON
for verb in info check; do
    has_verb "$verb" && readers+=("$verb")
done
dumps=no simulates=no saves=no threads=()
has_verb dump && dumps=yes
has_verb simulate && simulates=yes
has_option simulate --save-plan && saves=yes
has_option simulate --threads && threads=(1 2 7)

# keep NAME COMMAND...: standard output, standard error and exit status of a command, as three files
keep() {
    local name=$1 status=0
    shift
    "$@" >"$name.out" 2>"$name.err" </dev/null || status=$?
    echo "$status" >"$name.status"
}

# All outputs of one binary on one input, in files of the current folder.
run_verbs() {
    local peakstep=$1 input=$2 artefact=x.pstrace verb number more=()
    if [[ $input == *.pstrace ]]; then
        cp "$input" "$artefact"
    else
        keep import "$peakstep" import "$input" -o "$artefact"
    fi
    [ -f "$artefact" ] || return 0
    for verb in "${readers[@]}"; do
        keep "$verb" "$peakstep" "$verb" "$artefact"
        keep "$verb-json" "$peakstep" "$verb" --json "$artefact"
    done
    [ "$dumps" = no ] || keep dump "$peakstep" dump "$artefact"
    [ "$simulates" = yes ] || return 0
    [ "$saves" = no ] || more=(--save-plan x.psplan)
    keep simulate "$peakstep" simulate --json "${more[@]}" "$artefact"
    for number in "${threads[@]}"; do
        keep "simulate-threads-$number" \
            "$peakstep" simulate --json --threads "$number" "$artefact"
        cmp -s simulate.out "simulate-threads-$number.out" ||
            echo "differs from the run without --threads" >>"simulate-threads-$number.status"
    done
}

compared=0
differ=0
for input in "${inputs[@]}"; do
    label=${input#"$root"/}
    running=()
    for variant in "${variants[@]}"; do
        work=$build/run/$variant
        rm -rf "$work"
        mkdir -p "$work"
        (cd "$work" && run_verbs "${binary[$variant]}" "$input" && sha256sum ./* >sums) &
        running+=($!)
    done
    for id in "${running[@]}"; do
        wait "$id"
    done
    reference=$build/run/${variants[0]}/sums
    compared=$((compared + $(wc -l <"$reference")))
    if grep -q 'differs' "$build/run/${variants[0]}"/*.status; then
        differ=$((differ + 1))
        echo "DIFFERS $label: with the number of threads"
    fi
    for variant in "${variants[@]:1}"; do
        if ! changes=$(diff "$reference" "$build/run/$variant/sums"); then
            differ=$((differ + 1))
            echo "DIFFERS $label: ${variants[0]} and $variant"
            sed -n 's/^[<>] [0-9a-f]* *\.\//    /p' <<<"$changes" | sort -u
        fi
    done
done

echo "$compared outputs of ${#inputs[@]} inputs compared over ${#variants[@]} builds, $differ differ"
[ "$differ" -eq 0 ]
