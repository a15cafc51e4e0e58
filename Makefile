# Two commands are all the set-up there is:
#   make demo   raw logs to preference pairs, on an invented world, with the demo models
#   make test   every test
# Each fetches the ONNX Runtime library and builds what is missing; the tests also fetch the S3
# server they talk to. Both share one build.

CARGO ?= cargo
PYTHON ?= python3
RUNTIME := .runtime/.installed
SERVERS := .servers/.installed
BINARY := $(or $(CARGO_TARGET_DIR),target)/debug/usermirror
DEMO := target/demo
RUN = $(BINARY) --root $(DEMO)/lake

.PHONY: demo test lint build runtime servers models install bench clean

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

test: runtime servers
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

# The S3 server that the tests start (tests/servers/s3.py), out of hash-pinned packages.
servers: $(SERVERS)

$(SERVERS): tests/servers/requirements.txt
	$(PYTHON) -m pip install --quiet --require-hashes --no-deps --upgrade \
		--target .servers -r tests/servers/requirements.txt
	touch $@

# Retrains the demo models from nothing (about half an hour on two cores).
models: build runtime
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --require-hashes -r training/requirements.txt
	PYTHONPATH=training .venv/bin/python -m usermirror_training.demo --binary $(BINARY) --to models \
		--golden tests/golden/models

install: runtime
	$(CARGO) install --path .

clean:
	$(CARGO) clean
	rm -rf .runtime .servers .venv
