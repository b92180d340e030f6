# Maxwell: everything a fresh machine needs is made by these targets.
#   make run    the example fleet        make test   all checks and tests (under ten minutes)
#   make bench  measured figures         make docs   the documentation, as HTML
#   make wheel  an abi3 wheel in dist/   make help   the rest

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
STAMPS := $(VENV)/stamps
FLEET ?= examples/fleet.toml
RUN_ARGS ?=

# Compiled Rust is kept between clones; everything else a run caches stays inside the clone.
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/maxwell/target
export MAXWELL_CACHE_DIR ?= $(CURDIR)/.cache/maxwell
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PYTHONHASHSEED ?= 0
export RUST_BACKTRACE ?= 1
unexport PYTHONPATH PYTHONHOME

# The first interpreter that really is Python 3.11 or later.
HOST_PYTHON := $(shell for p in python3.11 python3 python3.12 python3.13 python3.14; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

RUST_SOURCES := $(shell find crates -name '*.rs' -o -name Cargo.toml 2>/dev/null) \
	$(wildcard Cargo.toml Cargo.lock rust-toolchain.toml .cargo/config.toml)

.PHONY: help
help: ## Lists the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)$$/  make \1|\2/' | column -t -s '|'

# --- what a checkout needs -----------------------------------------------------------------

.PHONY: check-host
check-host:
	@if [ -z "$(HOST_PYTHON)" ]; then \
		printf 'error: no Python 3.11 or later: found %s\n\nhint: apt-get install python3.11, or put python3.11 on PATH\n' \
			"$$(python3 --version 2>&1 || echo none)" >&2; exit 1; fi
	@if ! command -v cargo >/dev/null; then \
		printf 'error: no Rust tool chain: cargo is not on PATH\n\nhint: install Rust 1.95 or later from https://rustup.rs\n' >&2; exit 1; fi
	@PYTHON="$(HOST_PYTHON)" .ci/system-packages cc venv

# The stamp's name holds the hash of the pins: changing them, or Python, rebuilds the environment.
PINS := $(shell cat requirements/dev.txt 2>/dev/null | sha256sum | cut -c1-12)
VENV_STAMP := $(STAMPS)/venv-$(PINS)
$(VENV_STAMP): | check-host
	@if [ ! -x $(PY) ] || ! $(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		rm -rf $(VENV); $(HOST_PYTHON) -m venv $(VENV); fi
	@mkdir -p $(STAMPS) && rm -f $(STAMPS)/venv-*
	$(PY) -m pip install --quiet --requirement requirements/dev.txt
	@touch $@

GUEST_PINS := $(shell cat requirements/guests.txt 2>/dev/null | sha256sum | cut -c1-12)
GUEST_STAMP := $(STAMPS)/guest-packages-$(GUEST_PINS)
$(GUEST_STAMP): $(VENV_STAMP)
	@rm -f $(STAMPS)/guest-packages-*
	$(PY) -m pip install --quiet --no-deps --requirement requirements/guests.txt
	@touch $@

NATIVE_STAMP := $(STAMPS)/native
$(NATIVE_STAMP): $(VENV_STAMP) pyproject.toml $(RUST_SOURCES)
	PIP_QUIET=1 VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --release --locked --quiet
	@touch $@

.PHONY: venv native samples build fleet
venv: $(VENV_STAMP) ## Makes .venv with the pinned packages.
native: $(NATIVE_STAMP) ## Compiles the Rust module into the source tree.
samples: $(VENV_STAMP) ## Compiles the sample guests to WebAssembly, where they are stale.
	@$(PY) guests/build.py
build: native samples ## All that `maxwell` needs.
fleet: $(GUEST_STAMP) build ## Prepares the inputs of the example fleet, where they are stale.
	@$(PY) tools/prepare_fleet.py

# --- run -----------------------------------------------------------------------------------

.PHONY: run demo
run: build fleet ## Runs the example fleet: FLEET=file.toml RUN_ARGS='--seed 7'.
	$(BIN)/maxwell run $(FLEET) $(RUN_ARGS)

demo: build ## Runs the shipped samples for six seconds.
	$(BIN)/maxwell demo

# --- checks --------------------------------------------------------------------------------

.PHONY: lint lint-python lint-types lint-rust
lint: lint-python lint-types lint-rust ## Formatting, lints and types; warnings are errors.

lint-python: $(VENV_STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

lint-types: build
	$(BIN)/pyright --warnings --pythonpath $(PY)
	$(BIN)/python -m mypy.stubtest maxwell._native --mypy-config-file pyproject.toml --ignore-disjoint-bases

lint-rust: $(NATIVE_STAMP)
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings

.PHONY: test test-rust test-python test-slow test-system
test: lint test-rust test-python ## Everything, in under ten minutes.

test-system:
	@.ci/system-packages valgrind

test-rust: $(NATIVE_STAMP)
	cargo test --workspace --locked --quiet

test-python: build fleet test-system
	$(PY) -m pytest

test-slow: build fleet test-system ## The slow tests: long runs, the wheel in a fresh environment.
	$(PY) -m pytest -m slow --timeout 900 -o faulthandler_timeout=900
	cargo test -p maxwell-proofs --release --locked --quiet --lib --test hostile -- --ignored
	cargo test -p maxwell-proofs --locked --quiet --lib --features scalar

# --- figures, documentation, wheel -----------------------------------------------------------

.PHONY: bench
bench: build fleet ## Runs every file of benches/: one JSON object a line on stdout.
	@for file in benches/*.py; do $(PY) "$$file"; done
	@for file in crates/*/benches/*.rs; do \
		crate="$${file#crates/}"; name="$${file##*/}"; \
		cargo bench --locked --quiet -p "maxwell-$${crate%%/*}" --bench "$${name%.rs}"; done

LAB_OUT ?= docs/experiments/scientist-vs-leech
.PHONY: lab
lab: build ## Measures scientist versus leech: table and figure, 13 minutes on two idle cores.
	$(BIN)/maxwell lab leech-sweep --seeds 1,2,3 --others-joules-per-core 20 --out $(LAB_OUT)

.PHONY: lab-thinker
lab-thinker: build ## Measures thinker versus miner: table and figure, three minutes.
	$(BIN)/maxwell lab thinker-vs-miner --seeds 1,2,3 --out docs/experiments/thinker-vs-miner

# EZKL has no licence: it is measured, in an environment of its own, and never a dependency.
EZKL_CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/maxwell/ezkl
EZKL := $(EZKL_CACHE)/venv
.PHONY: bench-ezkl
bench-ezkl: build ## Proofs beside EZKL on the same ONNX files: up to an hour and 17 GiB, less when keys are kept.
	@test -x $(EZKL)/bin/python || $(PY) -m venv $(EZKL)
	$(EZKL)/bin/python -m pip install --quiet ezkl==23.0.5
	@$(PY) benches/proofs_vs_ezkl.py --ezkl $(EZKL)/bin/python --out docs/images/proofs.json
	@$(PY) docs/images/draw_proofs.py docs/images/proofs.json

.PHONY: docs
docs: $(NATIVE_STAMP) ## Builds the documentation into docs/_build/html; warnings are errors.
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

.PHONY: picture
picture: $(NATIVE_STAMP) ## Draws a finished run for the README: RUN=runs/fleet-1.
	$(PY) docs/images/draw_run.py $(RUN)

.PHONY: wheel
wheel: $(VENV_STAMP) samples ## Builds the abi3 wheel into dist/.
	@rm -rf dist
	$(BIN)/maturin build --release --locked --out dist
	@ls dist/*.whl

.PHONY: clean
clean: ## Removes what was built; keeps the compiled Rust of the user's cache.
	rm -rf $(VENV) build dist docs/_build .pytest_cache .hypothesis .ruff_cache .mypy_cache
	find python -name '*.so' -delete
