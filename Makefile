# Onebit: what can be done here. Every target works as root or not, with and without a terminal.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Builds outlive a checkout: a fresh clone finds the dependencies built.
ONEBIT_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/onebit
CARGO_TARGET_DIR ?= $(ONEBIT_CACHE)/target
ONEBIT_PYTHON ?= $(ONEBIT_CACHE)/venv/bin/python
ONEBIT_BUF ?= $(CURDIR)/node_modules/.bin/buf
export ONEBIT_CACHE CARGO_TARGET_DIR ONEBIT_PYTHON ONEBIT_BUF

# Looked up when a recipe runs, because `setup` may have just installed it.
CCACHE := if command -v ccache >/dev/null; then export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi;

# Faiss is built for tests and benchmarks in any case, so that they try the feature that lets it begin searches, too.
TESTED := --features faiss

# make build FEATURES=faiss builds a service that can be configured to search by it.
FEATURES ?=

# Passed on: make test TEST=journal, make bench BENCH='-- search --quick', make demo DEMO=--help.
# make torture TORTURE='-- power' runs the rows of that name.
TEST ?=
TORTURE ?=
BENCH ?=
DEMO ?=

.PHONY: help setup assets build verifier test torture demo bench bench-console bench-engine bench-gallery bench-query lint ci fmt clean-demo

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## Install what is missing (Debian packages, a Python environment)
	@.ci/setup

assets: ## Compile the console's style (Node), to be built into the service
	@.ci/setup assets

build: setup assets ## Build the service and the offline verifier
	@$(CCACHE) cargo build --release --locked --bins $(if $(FEATURES),--features $(FEATURES))

verifier: setup ## Build the offline verifier alone, from the few crates that it needs
	@cargo build --release --locked --no-default-features --bin onebit-verify

test: ## Run all tests
	@.ci/setup lint
	@$(CCACHE) cargo test --release --locked $(TESTED) --no-fail-fast $(TEST)

torture: setup ## Cut the power, kill, break and fill the store at length: docs/reliability.md
	@$(CCACHE) ONEBIT_TORTURE=long cargo test --release --locked $(TESTED) --test torture $(TORTURE)

demo: build ## Show the whole story with synthetic people, on this machine alone
	@$(CCACHE) cargo run --release --locked --quiet --bin onebit -- demo $(DEMO)

bench: setup ## Run the benchmarks
	@$(CCACHE) cargo bench --locked $(TESTED) --bench onebit $(BENCH)

bench-engine: setup ## Measure the search beside its peers (ONEBIT_BENCH_TEMPLATES=1000000 for more)
	@$(CCACHE) cargo bench --locked $(TESTED) --bench engine

bench-console: setup assets ## Measure the officers' pages over many cases (ONEBIT_BENCH_CASES=1000000 for more)
	@$(CCACHE) cargo bench --locked $(TESTED) --bench console

bench-gallery: setup ## Measure starts from disk, and questions while the gallery changes (ONEBIT_BENCH_TEMPLATES=1000000)
	@$(CCACHE) cargo bench --locked $(TESTED) --bench gallery

bench-query: setup ## Measure whole queries over TLS (ONEBIT_BENCH_TEMPLATES=1000000 for more)
	@$(CCACHE) cargo bench --locked $(TESTED) --bench query

lint: ## Check formatting, lints, dependencies and schemas
	@.ci/setup lint
	@$(CCACHE) .ci/lint

ci: ## Run everything that has to pass before a change lands
	@bash .ci/run </dev/null

fmt: ## Format Rust code and schemas
	@cargo fmt
	@.ci/setup lint
	@"$(ONEBIT_BUF)" format --write proto

clean-demo: ## Remove what the demo left in ./demo
	@rm -rf demo
