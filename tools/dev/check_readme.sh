#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs the commands of README.md: check_readme.sh BUILD [PAGE...]
# In every ```sh block, lines that begin with `peakstep` run in a scratch folder in which the
# project's folders lie, in the order of the page; all must succeed. Lines that fetch, build or
# install are what CI does anyway and are passed over; scripts of the tree must be there; any other
# line is refused, so that no command of the page goes unchecked. A line ending in "# exit N" must end with that status.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
if [ $# -lt 1 ] || [ ! -x "$1/tools/peakstep" ]; then
    echo "usage: $0 BUILD [PAGE...]" >&2
    exit 2
fi
PATH=$(cd "$1/tools" && pwd):$PATH
export PATH
shift
pages=("$@")
[ ${#pages[@]} -gt 0 ] || pages=(README.md)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for folder in docs simulator tests traces; do
    [ -d "$root/$folder" ] && ln -s "$root/$folder" "$scratch/$folder"
done

ran=0
for page in "${pages[@]}"; do
    [ -f "$root/$page" ] || { echo "$page is not there"; exit 1; }
    # numbered lines of sh blocks, continued lines joined
    mapfile -t commands < <(awk '
        /^```sh *$/ { inside = 1; next }
        /^```/ { inside = 0 }
        inside && NF && !/^#/ {
            text = text $0
            if (sub(/\\$/, "", text)) next
            print NR ": " text
            text = ""
        }' "$root/$page")
    for entry in "${commands[@]}"; do
        line=${entry%%: *}
        command=${entry#*: }
        case $command in
        peakstep*) ;;
        'git clone '* | 'cd '* | 'sudo '* | 'apt-get '* | 'cmake '* | 'ctest '* | 'bash .ci/run'*)
            continue
            ;;
        tests/* | tools/dev/* | traces/*)
            script=${command%% *}
            [ -x "$root/$script" ] && continue
            echo "$page:$line: $script is not there"
            exit 1
            ;;
        *)
            echo "$page:$line: this check does not know what to do with: $command"
            exit 1
            ;;
        esac
        want=0
        [[ $command =~ \#\ exit\ ([0-9]+)$ ]] && want=${BASH_REMATCH[1]}
        got=0
        (cd "$scratch" && bash -o pipefail -c "$command") >"$scratch/.log" 2>&1 </dev/null || got=$?
        if [ "$got" -ne "$want" ]; then
            echo "$page:$line: exit status $got instead of $want: $command"
            cat "$scratch/.log"
            exit 1
        fi
        ran=$((ran + 1))
    done
done
echo "$ran commands of ${pages[*]} work"
