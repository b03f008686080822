# The commands of a developer. `make setup` and `make serve` are all that a newcomer needs.

.DEFAULT_GOAL := help
.PHONY: help setup serve dev fmt check test bench clean

# What a user's shell has set for other work must not reach our tools.
unexport PYTHONPATH PYTHONHOME PYTHONOPTIMIZE PYTHONWARNINGS PYTHONSTARTUP PYTHONINSPECT PYTEST_ADDOPTS PYTEST_PLUGINS
unexport MYPYPATH RUFF_CONFIG VIRTUAL_ENV

BIN := .venv/bin

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1@\2/p' Makefile | tr '@' '\t'

setup:  ## make .venv with everything that is needed to run
	@python=$$(sh tools/find_python) && "$$python" tools/develop.py

serve: setup  ## start a gateway whose vendors are all local emulators
	@exec $(BIN)/fengchao serve --sandbox

dev:  ## make .venv with everything that checks and tests need
	@python=$$(sh tools/find_python) && "$$python" tools/develop.py --group test

fmt: dev  ## format and mend what can be mended
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix-only --exit-zero .

check: dev  ## formatting, lint and types
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

test: check  ## everything: set up (torch too), check, run all tests
	@python=$$(sh tools/find_python) && "$$python" tools/develop.py --group test --extra engine
	@$(BIN)/pytest -n 2 --dist loadgroup

bench:  ## measure the gateway beside a bare forwarder, and the word filter beside others
	@python=$$(sh tools/find_python) && "$$python" tools/develop.py --group bench
	@$(BIN)/python benchmarks/run.py
	@$(BIN)/python benchmarks/bench_sensitive.py --check

clean:  ## remove every environment and cache
	rm -rf .venv .venv-judges .mypy_cache .ruff_cache .pytest_cache .hypothesis
