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
DEMO_SHAPE := --set history_min=5 --set history_max=8 --set choices_min=4 --set choices_max=5
RUN = $(BINARY) --root $(DEMO)/lake
TRAINED := target/train
TRAIN_RUN = $(BINARY) --root $(TRAINED)/lake
VENV := .venv/.installed
TRAINING = PYTHONPATH=training .venv/bin/python -m usermirror_training

.PHONY: demo test lint build runtime servers models train train-test install bench clean

demo: build runtime
	rm -rf $(DEMO)
	$(RUN) generate movielens --to $(DEMO)/raw --users 1000 --seed 7
	$(RUN) ingest movielens --from $(DEMO)/raw
	$(RUN) run --datasets movielens --scenarios 512 --pairs 200 $(DEMO_SHAPE)
	cp -R $(DEMO)/raw/policy $(DEMO)/lake
	$(RUN) evaluate --model models/weak --model models/strong --baseline sql/demo/ceiling.sql
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
models: build runtime $(VENV)
	rm -rf target/models
	$(TRAINING) demo --binary $(BINARY) --to target/models --golden tests/golden/models
	cp -R target/models/* models

# Pairs from a demo world, SFT and DPO of the weak model on them, and how well the three models
# choose on users whom neither step saw (about twenty minutes on two cores).
train: build runtime $(VENV)
	rm -rf $(TRAINED)
	$(TRAIN_RUN) generate movielens --to $(TRAINED)/raw --users 4000 --seed 8
	$(TRAIN_RUN) ingest movielens --from $(TRAINED)/raw
	$(TRAIN_RUN) run --datasets movielens --scenarios 4096 --pairs 1000 $(DEMO_SHAPE)
	$(TRAIN_RUN) export --format trl --to $(TRAINED)/preferences
	$(TRAINING) restore --model models/weak --to $(TRAINED)/base
	$(TRAINING) sft --config training/demo.toml --model $(TRAINED)/base \
		--data $(TRAINED)/preferences --to $(TRAINED)/sft
	$(TRAINING) dpo --config training/demo.toml --model $(TRAINED)/sft \
		--data $(TRAINED)/preferences --to $(TRAINED)/dpo
	$(TRAINING) export --model $(TRAINED)/sft --to $(TRAINED)/models/sft
	$(TRAINING) export --model $(TRAINED)/dpo --to $(TRAINED)/models/dpo
	$(TRAIN_RUN) sql --model dpo=$(TRAINED)/models/dpo -c "COPY ( \
		SELECT messages, '' AS text, choose('dpo', messages, '', choice_count)['probs'] AS probs \
		FROM scenarios WHERE split = 'eval' ORDER BY scenario_id LIMIT 200 \
		) TO '$(TRAINED)/choices.parquet'"
	$(TRAINING) verify --model $(TRAINED)/dpo --choices $(TRAINED)/choices.parquet
	cp -R $(TRAINED)/raw/policy $(TRAINED)/lake
	$(TRAIN_RUN) evaluate --model base=models/weak --model $(TRAINED)/models/sft \
		--model $(TRAINED)/models/dpo --model strong=models/strong \
		--baseline sql/demo/ceiling.sql --against base
	$(TRAIN_RUN) evaluate --model $(TRAINED)/models/sft --baseline sql/demo/ceiling.sql --against sft

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
	rm -rf .runtime .servers .venv
