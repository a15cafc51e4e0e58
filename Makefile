# Two commands are all the set-up there is:
#   make demo   raw logs to preference pairs, on an invented world, with the demo models
#   make test   every test
# Each fetches the ONNX Runtime library and builds what is missing. Both share one build.

CARGO ?= cargo
PYTHON ?= python3
RUNTIME := .runtime/.installed
BINARY := $(or $(CARGO_TARGET_DIR),target)/debug/usermirror
DEMO := target/demo
RUN = $(BINARY) --root $(DEMO)/lake
VENV := .venv/.installed
TRAINING = PYTHONPATH=training .venv/bin/python -m usermirror_training

.PHONY: demo test lint build runtime models train train-test install bench clean

demo: build runtime
	rm -rf $(DEMO)
	$(RUN) generate movielens --to $(DEMO)/raw --users 1000 --seed 7
	$(RUN) ingest movielens --from $(DEMO)/raw
	$(RUN) run --datasets movielens --scenarios 512 --pairs 200 \
		--set history_min=5 --set history_max=8 --set choices_min=4 --set choices_max=5
	$(RUN) sql --format table \
		-c "CREATE EXTERNAL TABLE policy_users STORED AS PARQUET LOCATION '$(DEMO)/raw/policy/users.parquet'" \
		-c "CREATE EXTERNAL TABLE policy_items STORED AS PARQUET LOCATION '$(DEMO)/raw/policy/items.parquet'" \
		-c "CREATE EXTERNAL TABLE policy_events STORED AS PARQUET LOCATION '$(DEMO)/raw/policy/events.parquet'" \
		-f sql/demo/ceiling.sql
	$(RUN) export --format trl --to $(DEMO)/preferences

test: runtime
	$(CARGO) test --workspace --bins --tests

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

build:
	$(CARGO) build

# The shared library out of the hash-pinned wheel.
runtime: $(RUNTIME)

$(RUNTIME): training/runtime-requirements.txt
	$(PYTHON) -m pip install --quiet --require-hashes --no-deps --upgrade \
		--target .runtime -r training/runtime-requirements.txt
	touch $@

# Retrains the demo models from nothing (about half an hour on two cores).
models: build runtime $(VENV)
	rm -rf target/models
	$(TRAINING) demo --binary $(BINARY) --to target/models --golden tests/golden/models
	cp -R target/models/* models

# The tests of the training stage.
train-test: $(VENV)
	cd training && ../.venv/bin/python -m pytest -q

$(VENV): training/requirements.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --require-hashes -r $<
	touch $@

install: runtime
	$(CARGO) install --path .

clean:
	$(CARGO) clean
	rm -rf .runtime .venv
