#!/usr/bin/env bash
# Our engine beside llama.cpp, Hugging Face generate and onnxruntime-genai, in turn, in one run.
#   benches/engine/run.sh [THREADS] [ROUNDS] [SHAPE ...]
# Shapes are t20 (20 million parameters) and s135 (135 million). Needs a Python with the packages of
# training/requirements.txt and benches/engine/requirements.in (PYTHON=…), the usermirror binary
# (BINARY=…) and ONNX Runtime (RUNTIME=…). MODELS=… names a folder that keeps the models, 6 GB;
# TO=… the JSON file; SAME=1 also compares answers to the last token (same.py).
set -euo pipefail
threads=${1:-$(nproc)}
rounds=${2:-3}
shapes=("${@:3}")
[ ${#shapes[@]} -gt 0 ] || shapes=(t20 s135)
binary=${BINARY:-target/release/usermirror}
python=${PYTHON:-python3}
runtime=${RUNTIME:-$(echo .runtime/onnxruntime/capi/libonnxruntime.so.*)}
to=${TO:-engine.json}
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
models=${MODELS:-$work/models}

"$python" "$here/models.py" "$models" "${shapes[@]}"
if [ -n "${SAME:-}" ]; then
    "$python" "$here/same.py" "$models" --binary "$binary" --runtime "$runtime" --shapes "${shapes[@]}"
fi
"$python" "$here/measure.py" "$models" --binary "$binary" --runtime "$runtime" --to "$to" \
    --threads "$threads" --rounds "$rounds" --shapes "${shapes[@]}"
