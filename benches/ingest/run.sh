#!/usr/bin/env bash
# The ingest of a generated KuaiRec beside DuckDB doing its largest part, in turn, in one run.
#   benches/ingest/run.sh [USERS] [MEMORY_MIB] [ROUNDS]
# 420,000 users make 12.5 million views. Needs a Python with duckdb (PYTHON=…) and the
# usermirror binary (BINARY=…); RAW=… names a folder generated before.
set -euo pipefail
users=${1:-420000}
memory=${2:-1024}
rounds=${3:-1}
binary=${BINARY:-target/release/usermirror}
python=${PYTHON:-python3}
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
raw=${RAW:-$work/raw}

timed() {
    local name=$1
    shift
    /usr/bin/time -f "$name %U %S %e %M" -a -o "$work/times" "$@"
}

[ -d "$raw" ] || timed generate "$binary" --root "$work/lake" generate kuairec2 --to "$raw" --users "$users"
for _ in $(seq "$rounds"); do
    rm -rf "$work/lake"
    timed ingest "$binary" --root "$work/lake" ingest kuairec2 --from "$raw" --memory "$memory"
    timed duckdb "$python" "$here/duckdb_part.py" "$raw" "$memory" "$work/views.parquet"
done
echo "what     user s   system s   wall s   peak KiB"
cat "$work/times"
