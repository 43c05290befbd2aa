#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Golden tests of the command: what it prints, where, and how it ends.
#
#   run.sh PEAKSTEP [--update] [VERB/CASE...]
#
# A case is a folder VERB/CASE with
#   cmd      a shell script, run in an empty folder that holds the fixtures
#   stdout   expected, exactly; no file: nothing
#   stderr   expected, exactly; or stderr.glob, one shell pattern a line
#   exit     expected exit status; no file: 0
# In cmd, $traces is the folder of sample traces, "peakstep" is the command under test and "stable" a filter that hides
# what depends on the version of the compressor (sizes of files).
# --update writes what came out as what is expected; read the diff.
set -u
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { echo "usage: run.sh PEAKSTEP [--update] [VERB/CASE...]" >&2; exit 2; }
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
shift
update=no
if [ "${1:-}" = --update ]; then
    update=yes
    shift
fi

work=$(mktemp -d) || exit 4
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
ln -s "$binary" "$work/bin/peakstep"
cat > "$work/bin/stable" <<'FILTER'
#!/bin/sh
exec sed -E -e 's/[0-9]+ bytes$/N bytes/' -e 's/^(  file +).*/\1SIZE/' \
    -e 's/("(bytes|file_bytes|bytes_per_event)": )[0-9.]+/\10/'
FILTER
chmod +x "$work/bin/stable"
PATH=$work/bin:$PATH
traces=$(cd "$here/../../traces" && pwd)
export traces

# Compares $2 with expected file $1; an absent file expects nothing.
same() {
    if [ -e "$1" ]; then diff -u "$1" "$2"; else diff -u /dev/null "$2"; fi
}

# Every line of $2 must match the pattern on the same line of $1.
matches() {
    [ "$(wc -l < "$1")" = "$(wc -l < "$2")" ] || { diff -u "$1" "$2"; return 1; }
    paste -d '\001' "$1" "$2" | while IFS=$(printf '\001') read -r pattern line; do
        # shellcheck disable=SC2254
        case $line in $pattern) ;; *) printf 'expected %s\n     got %s\n' "$pattern" "$line"; exit 1 ;; esac
    done
}

# Writes $2 as expected file $1, or removes it when there is nothing to expect.
keep() {
    if [ -s "$2" ]; then cp "$2" "$1"; else rm -f "$1"; fi
}

run_case() {
    case_dir=$here/$1
    rm -rf "$work/run" && cp -R "$here/fixtures" "$work/run"
    (cd "$work/run" && sh "$case_dir/cmd" > "$work/stdout" 2> "$work/stderr" < /dev/null)
    echo $? > "$work/exit"
    if [ $update = yes ]; then
        keep "$case_dir/stdout" "$work/stdout"
        [ -e "$case_dir/stderr.glob" ] || keep "$case_dir/stderr" "$work/stderr"
        if [ "$(cat "$work/exit")" = 0 ]; then rm -f "$case_dir/exit"; else cp "$work/exit" "$case_dir/exit"; fi
        return 0
    fi
    wrong=0
    same "$case_dir/stdout" "$work/stdout" || wrong=1
    if [ -e "$case_dir/stderr.glob" ]; then
        matches "$case_dir/stderr.glob" "$work/stderr" || wrong=1
    else
        same "$case_dir/stderr" "$work/stderr" || wrong=1
    fi
    expected=0
    [ ! -e "$case_dir/exit" ] || expected=$(cat "$case_dir/exit")
    [ "$expected" = "$(cat "$work/exit")" ] || {
        echo "exit status $(cat "$work/exit"), expected $expected"
        wrong=1
    }
    return $wrong
}

if [ $# -eq 0 ]; then
    # shellcheck disable=SC2046
    set -- $(cd "$here" && find . -name cmd | sed -e 's|^\./||' -e 's|/cmd$||' | sort)
fi
failed=0
for name in "$@"; do
    [ -e "$here/$name/cmd" ] || { echo "not ok - $name: there is no such case"; failed=$((failed + 1)); continue; }
    if run_case "$name" > "$work/report" 2>&1; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        sed 's/^/    /' "$work/report"
        failed=$((failed + 1))
    fi
done
[ $failed -eq 0 ] || { echo "$failed of $# cases failed"; exit 1; }
