#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Two readers, one page: what mini_reader.py reads of a file is what peakstep dumps.
#   run.sh PEAKSTEP
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
seeds=$here/../fuzz/corpus/container
peakstep=$1
failed=0

# compare FILE TABLE TABLE_ID FIELDS COLUMN_ID:TYPE...: FIELDS are the fields of dump's lines.
# Rows are compared without their order: peakstep sorts what the chunks hold.
compare() {
    local file=$1 table=$2 id=$3 fields=$4
    shift 4
    if diff <("$peakstep" dump --quiet --table "$table" "$file" | tail -n +2 | cut -d, -f"$fields" | sort) \
        <("$here/mini_reader.py" "$file" "$id" "$@" | sort); then
        echo "ok $(basename "$file") $table"
    else
        echo "DIFFERS $(basename "$file") $table"
        failed=1
    fi
}

for file in "$seeds"/trace_{one_row,two_chunks,without_chunks}; do
    compare "$file" kernel 3 1-5 1:i64 2:i64 3:u32 4:u64 5:str
    compare "$file" memcpy 4 1-4 1:i64 2:i64 3:u32 4:u64
    compare "$file" device 11 1,3 1:u32 3:str
    compare "$file" meta 13 1-2 1:str 2:str
done
compare "$seeds/plan" task 3 3-4 3:i64 4:i64
compare "$seeds/workload" op 3 1,6-8 1:str 6:u64 7:u64 8:u64
compare "$seeds/workload" finding 6 1-3 1:str 2:str 3:u32
exit "$failed"
