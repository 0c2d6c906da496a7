# Two commands for everybody: make demo, make test. A machine needs Python 3.11 or newer with pip and venv, and make.
VENV ?= .venv
PYTHON ?=
ARGS ?=
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
CODE := src tests scripts $(wildcard bench chaos fuzz)

.DEFAULT_GOAL := help
.PHONY: help demo test test-deep check format bench chaos fuzz lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# Rebuilt when a lock or the project's metadata changes, so that the second call costs nothing.
$(STAMP): requirements/dev.txt pyproject.toml scripts/setup
	@scripts/setup "$(VENV)" "$(PYTHON)"

demo: $(STAMP) ## Simulated providers, the gateway and the real SDKs, in under half a minute
	@$(BIN)/trimaran demo $(ARGS)

test: $(STAMP) ## All tests, 200 generated cases for each property
	@$(BIN)/python -m pytest -q $(ARGS)

test-deep: $(STAMP) ## The same tests with 10,000 generated cases for each property
	@HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest -q $(ARGS)

check: $(STAMP) ## What CI runs: format, lint, types, layers, tests
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy src
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python -m pytest -q $(ARGS)

format: $(STAMP) ## Rewrite the code in the house format
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

bench: $(STAMP) ## CPU per request, latency and memory beside named peers
	@$(BIN)/python -m bench $(ARGS)

fuzz: $(STAMP) ## A million bent inputs: HTTP, streams, JSON, configuration (ARGS=--seed N)
	@$(BIN)/python -m fuzz $(ARGS)

chaos: $(STAMP) ## Ten minutes of load, failing providers and killed processes; then the books are checked
	@$(BIN)/python -m chaos $(ARGS)

lock: ## Maintainers: write requirements/*.txt from pyproject.toml (ARGS=--upgrade moves the pins)
	@scripts/lock $(ARGS)

clean: ## Remove the environment and what tools left behind
	rm -rf "$(VENV)" build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache src/*.egg-info
	find src tests $(wildcard bench chaos fuzz) -name __pycache__ -type d -prune -exec rm -rf {} +
