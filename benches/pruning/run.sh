#!/usr/bin/env bash
# How many files of ten million scores a filter reads: a table of 500,000 scenarios, filled by a
# keyed step in commits of 20,000, then queries with and without a filter.
#   benches/pruning/run.sh [BINARY] [FOLDER]
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
binary="${1:-$here/../../target/debug/usermirror}"
folder="${2:-$(mktemp -d)}"
run() { "$binary" --root "$folder/lake" "$@"; }

cat > "$folder/job.toml" <<TOML
steps = ["$here/seeds.sql", "$here/many.sql"]
[commit]
units = 20000
minutes = 60
TOML
time run run "$folder/job.toml"
for where in "true" "scenario_id BETWEEN '8000' AND '8010'" "scenario_id = (SELECT max(scenario_id) FROM seeds)"; do
    echo "== WHERE $where"
    query="SELECT count(*), avg(entropy) FROM many WHERE $where"
    run sql --format csv -c "$query" | tail -1
    run sql --format csv -c "EXPLAIN ANALYZE $query" |
        grep -oE 'count_files_scanned=[0-9]+|(files_ranges|row_groups)_pruned_statistics=[^,]*|bytes_scanned=[^,]*' |
        tr '\n' ' '
    echo
done
echo "files: $(find "$folder/lake/many" -name '*.parquet' | wc -l)"
