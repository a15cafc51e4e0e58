#!/usr/bin/env bash
# Scenario building beside DuckDB doing its relational part, in turn, in one run.
#   benches/scenarios/run.sh RAW_FOLDER [SCENARIOS] [ROUNDS]
# Needs a Python with duckdb 2 (PYTHON=…) and the usermirror binary (BINARY=…).
set -euo pipefail
raw=$1
scenarios=${2:-16384}
rounds=${3:-3}
binary=${BINARY:-target/release/usermirror}
python=${PYTHON:-python3}
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

timed() {
    local name=$1
    shift
    /usr/bin/time -f "$name %U %S %e %M" -a -o "$work/times" "$@" >/dev/null 2>&1
}

for _ in $(seq "$rounds"); do
    rm -rf "$work/lake"
    timed ingest "$binary" --root "$work/lake" ingest movielens --from "$raw"
    timed scenarios "$binary" --root "$work/lake" run --until scenarios --scenarios "$scenarios"
    timed duckdb "$python" "$here/duckdb_part.py" "$raw" "$scenarios"
done
echo "what        user s   system s   wall s   peak KiB"
cat "$work/times"
