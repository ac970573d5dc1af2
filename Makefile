# `make` lists the targets. Every target makes .venv first when it is missing; all that it takes is Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := .lock/requirements.txt
PROTOS := $(wildcard protos/stockpool/*/*.proto)

# Two workers: one a core of a small machine. PYTEST_ARGS narrows or extends a run: make test PYTEST_ARGS="-k reserve -x".
WORKERS ?= 2
PYTEST_ARGS ?=
DEMO_ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help:  ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-14s %s\n", $$1, $$2 }'

# --- set-up ---

.PHONY: setup
setup: $(VENV)/.installed $(VENV)/.compiled  ## Make .venv with the locked versions and this project in it; again when they change

$(VENV)/.locked: $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "stockpool needs Python 3.11 or newer; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(LOCK)
	@touch $@

# The build requirements are locked too, hence no isolated build environment that would fetch others.
$(VENV)/.installed: $(VENV)/.locked pyproject.toml protos/build.py
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.compiled: $(VENV)/.installed $(PROTOS) protos/build.py
	$(BIN)/python protos/build.py
	@touch $@

.PHONY: proto
proto: $(VENV)/.installed  ## Compile protos/stockpool/v1/*.proto into the Python package stockpool.v1
	$(BIN)/python protos/build.py
	@touch $(VENV)/.compiled

.PHONY: lock
lock: $(VENV)/.locked  ## Choose the newest versions that pyproject.toml allows and write them to .lock/, with hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
		--no-emit-find-links --upgrade --extra dev --output-file $(LOCK) pyproject.toml

# --- use ---

.PHONY: demo
demo: setup  ## Play one day of orders against a fresh server, live, and write the report (DEMO_ARGS="--days 3")
	$(BIN)/stockpool demo $(DEMO_ARGS)

# --- work ---

.PHONY: format
format: setup  ## Format the code and apply the safe fixes
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

.PHONY: check style types contract house
check: style types contract house  ## Style, types, contract, floors and house rules; `make -k check` goes on after a failure

style: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

contract: setup
	$(BIN)/buf lint protos
	.ci/breaking

house: setup
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/pytest --quiet tests/house

.PHONY: test
test: setup  ## The whole test suite (PYTEST_ARGS="-k reserve")
	$(BIN)/pytest --quiet --numprocesses $(WORKERS) -p no:benchmark $(PYTEST_ARGS) tests

.PHONY: test-envoy
test-envoy: setup  ## All tests of the service with Envoy as the front; `make test` has a part of them (tests/service/test_fronts.py)
	$(BIN)/pytest --quiet --numprocesses $(WORKERS) -p no:benchmark --front envoy $(PYTEST_ARGS) tests/service

.PHONY: bounds
bounds: setup  ## The suite with bounds checks in every kernel, slower: an index out of range fails instead of reading on
	NUMBA_BOUNDSCHECK=1 $(BIN)/pytest --quiet --numprocesses $(WORKERS) -p no:benchmark $(PYTEST_ARGS) tests

# A seed a night; a night that found something is played again with SEED=...
SEED ?= $(shell date +%Y%m%d)

.PHONY: nightly
nightly: setup  ## The long proof: a million simulated commands with ten thousand crashes (SEED=1), and 40,000 routed orders
	$(BIN)/stockpool simulate-faults --seed $(SEED) --commands 1000000
	LONG_TESTS=50 $(BIN)/pytest --quiet --numprocesses $(WORKERS) -p no:benchmark tests/unit/test_routing_terms.py

# Twice: what is marked `compiled` takes minutes with the compiler off, and has its lines outside the kernels counted with it on.
COVERED = $(BIN)/coverage run -m pytest --quiet --numprocesses $(WORKERS) -p no:benchmark $(PYTEST_ARGS)

.PHONY: coverage
coverage: setup  ## Which lines of engine/ the suite runs, with the compiler off so that kernels count too; fails below 90 %
	$(BIN)/coverage erase
	NUMBA_DISABLE_JIT=1 $(COVERED) tests
	$(COVERED) -m compiled tests
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered

.PHONY: bench
bench: setup  ## The benchmarks; each run adds lines to benchmarks/history.jsonl
	$(BIN)/pytest --quiet --timeout 0 --ignore benchmarks/quality $(PYTEST_ARGS) benchmarks

.PHONY: bench-quality
bench-quality: setup  ## How good routing decisions are: policies beside hindsight on the same streams; into the history too
	$(BIN)/pytest --quiet --timeout 0 $(PYTEST_ARGS) benchmarks/quality

.PHONY: clean
clean:  ## Remove what was built: .venv, generated code, caches
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks .coverage*
	find protos -name '*_pb2*' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
