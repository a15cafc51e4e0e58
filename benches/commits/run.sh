#!/usr/bin/env bash
# What committing every 256 scenarios costs against committing once: the decisions of 512 scenarios
# by the demo models, alternately both ways, in CPU seconds and wall seconds.
#   benches/commits/run.sh [BINARY] [ROUNDS]
set -euo pipefail
home="$(cd "$(dirname "$0")/../.." && pwd)"
binary="${1:-$home/target/debug/usermirror}"
rounds="${2:-3}"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$home"
"$binary" --quiet --root "$folder/lake" generate movielens --to "$folder/raw" --users 600 --seed 7 > /dev/null
"$binary" --quiet --root "$folder/lake" ingest movielens --from "$folder/raw" > /dev/null
small=(--scenarios 512 --set history_min=5 --set history_max=8 --set choices_min=4 --set choices_max=5)
"$binary" --quiet --root "$folder/lake" run --until scenarios "${small[@]}" > /dev/null

decide() {
    rm -rf "$folder/lake/decisions"
    printf '[commit]\nunits = %s\nminutes = 600\n[models]\nstrong.location = "%s/models/strong"\nweak.location = "%s/models/weak"\n' \
        "$1" "$home" "$home" > "$folder/job.toml"
    /usr/bin/env bash -c 'TIMEFORMAT="%U %S %R"; time "$0" "$@" > /dev/null' \
        "$binary" --quiet --root "$folder/lake" run "$folder/job.toml" --until decisions "${small[@]}" 2>&1 |
        tail -1 | awk -v units="$1" '{printf "commits of %s: %.2f CPU s, %.2f s\n", units, $1 + $2, $3}'
}
for _ in $(seq "$rounds"); do
    decide 256
    decide 100000
done
