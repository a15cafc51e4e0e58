# Two commands are all the set-up there is:
#   make demo   raw logs to preference pairs, on an invented world, with the demo models
#   make test   the tests, but for those of the training stage (make train-test)
# Each fetches the ONNX Runtime library and builds what is missing; the tests also fetch the servers
# they talk to. Both share one build.

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
TRAIN_CONFIG := --config training/demo.toml
TRAIN_EVALUATE = $(TRAIN_RUN) evaluate --baseline sql/demo/ceiling.sql
# Trained models are named by how their pairs were selected and what they were last trained with.
STRATEGIES := uncertainty random_letters random high_accuracy low_accuracy accuracy_difference ifd
ABLATION := $(STRATEGIES:%=%_dpo) uncertainty_sft uncertainty_grpo

.PHONY: demo test lint build runtime servers models train ablation train-test install bench clean
# Each strategy replaces the pairs of the one before.
.NOTPARALLEL:
# Checkpoints stay, though only the models made of them are asked for.
.SECONDARY:

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

# The servers that the tests start (tests/servers): S3 and llama.cpp's, out of hash-pinned packages.
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
# choose on users whom neither step saw, beside the strong one and the best possible (about twenty
# minutes on two cores). First, that the engine computes what was trained.
train: build runtime $(VENV) $(TRAINED)/models/uncertainty_sft $(TRAINED)/models/uncertainty_dpo
	$(TRAIN_RUN) sql --model dpo=$(TRAINED)/models/uncertainty_dpo -c "COPY ( \
		SELECT messages, '' AS text, choose('dpo', messages, '', choice_count)['probs'] AS probs \
		FROM scenarios WHERE split = 'eval' ORDER BY scenario_id LIMIT 200 \
		) TO '$(TRAINED)/choices.parquet'"
	$(TRAINING) verify --model $(TRAINED)/checkpoints/uncertainty_dpo --choices $(TRAINED)/choices.parquet
	$(TRAIN_EVALUATE) --model $(TRAINED)/models/uncertainty_sft --model base=models/weak \
		--model $(TRAINED)/models/uncertainty_dpo --model strong=models/strong

# The same with pairs of every selection strategy, and with GRPO (about forty minutes).
ablation: build runtime $(VENV) $(ABLATION:%=$(TRAINED)/models/%)
	$(TRAIN_EVALUATE) $(ABLATION:%=--model $(TRAINED)/models/%) --model base=models/weak \
		--model strong=models/strong

# What both are made of. All of it appears whole and once: after a kill the same command goes on,
# and `rm -rf target/train` begins anew.
$(TRAINED)/.scored: | build runtime
	$(TRAIN_RUN) generate movielens --to $(TRAINED)/raw --users 4000 --seed 8
	$(TRAIN_RUN) ingest movielens --from $(TRAINED)/raw
	rm -rf $(TRAINED)/lake/policy
	cp -R $(TRAINED)/raw/policy $(TRAINED)/lake
	$(TRAIN_RUN) run --datasets movielens --scenarios 4096 --until scores $(DEMO_SHAPE)
	touch $@

$(TRAINED)/preferences/%/README.md: | $(TRAINED)/.scored
	$(TRAIN_RUN) run --from distill --select $* --pairs 1000
	$(TRAIN_RUN) export --format trl --to $(@D)

$(TRAINED)/base: | $(VENV)
	$(TRAINING) restore --model models/weak --to $@

$(TRAINED)/checkpoints/%_sft: | $(TRAINED)/preferences/%/README.md $(TRAINED)/base
	$(TRAINING) sft $(TRAIN_CONFIG) --model $(TRAINED)/base --data $(TRAINED)/preferences/$* --to $@

$(TRAINED)/checkpoints/%_dpo: | $(TRAINED)/checkpoints/%_sft
	$(TRAINING) dpo $(TRAIN_CONFIG) --model $| --data $(TRAINED)/preferences/$* --to $@

$(TRAINED)/checkpoints/%_grpo: | $(TRAINED)/checkpoints/%_sft
	$(TRAINING) grpo $(TRAIN_CONFIG) --model $| --data $(TRAINED)/preferences/$* --to $@

$(TRAINED)/models/%: | $(TRAINED)/checkpoints/%
	$(TRAINING) export --model $| --to $@

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
