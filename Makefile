# Everything goes through .venv, which `make setup` builds from constraints.txt; only setup and constraints use the network.
# PYTHON names the interpreter to build it with (3.11 or later): make clean setup PYTHON=python3.12

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_REQUIRE_VIRTUALENV := 1

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11; name a newer one: make setup PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --upgrade pip hatchling
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@touch $@

.PHONY: setup
setup: $(STAMP) ## build .venv from constraints.txt (does nothing when it is up to date)

.PHONY: check
check: setup ## ruff, mypy --strict on every package and the tests, and the lint of schemas and policies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/tidegate schema lint

# Files of tests at a time. Tests of one file stay together, for many share what their file has started.
WORKERS ?= 2

PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: test
test: setup ## all tests but those that inject faults or run a bench; two files at a time (WORKERS=0: one after the other)
	$(PYTEST) -m "not faults and not bench"

.PHONY: test-all
test-all: setup ## every test, as CI runs them
	$(PYTEST)

# What `make faults` plays: rounds on each log, worlds in the simulation; both print the seed that they drew, and SEED=n
# plays the same ones again.
ROUNDS ?= 200
SEEDS ?= 10000

.PHONY: faults
faults: setup ## what kills and hangs processes, fills disks: tests, 10,000 simulated worlds, 200 random rounds on each log
	$(BIN)/python -m pytest -m faults
	$(BIN)/python -m load.simulation --seeds $(SEEDS) --jobs 2 $(if $(SEED),--first-seed $(SEED))
	$(BIN)/python -m load.faults --rounds $(ROUNDS) --log both $(if $(SEED),--seed $(SEED))

.PHONY: kafka
kafka: setup ## Apache Kafka on 127.0.0.1:9092 until Ctrl-C (needs Java 17 and mvn); ARGUMENTS='--brokers 3 --data DIR'
	@$(BIN)/python -m load.broker $(ARGUMENTS)

.PHONY: kafka-jars
kafka-jars: setup ## fetch the jars of Apache Kafka (43 MB) into the cache directory, once
	@$(BIN)/python -c 'from load.broker import jars; print(jars())'

.PHONY: bench
bench: setup ## what reports cost gate, follower and devices, and what answers cost; about fourteen minutes
	$(BIN)/python -m load.bench

.PHONY: demo
demo: setup ## start a gate on a free port with a fresh data directory, and say what to try
	$(BIN)/tidegate demo

.PHONY: constraints
constraints: ## resolve the newest versions that pyproject.toml allows and write constraints.txt
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	$(PYTHON) -m venv "$$scratch/venv"; \
	"$$scratch/venv/bin/python" -m pip install --quiet --upgrade pip hatchling; \
	"$$scratch/venv/bin/python" -m pip install --quiet --no-build-isolation '.[dev]'; \
	{ echo '# Every version that is installed, build tools included. Written by `make constraints`; do not edit by hand.'; \
	  "$$scratch/venv/bin/python" -m pip freeze --all --exclude tidegate --exclude setuptools; } > constraints.new; \
	mv constraints.new constraints.txt

.PHONY: clean
clean: ## remove .venv, caches and built files
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find schemas ingest aggregators reporter tidegate load tests -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
