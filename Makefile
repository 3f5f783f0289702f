# make demo   set everything up and watch two alerts go out
# make test   set everything up and pass the tests
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: venv demo test check bench nightly services clean

venv: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: venv
	$(BIN)/tocsin demo --once

test: venv services
	OMP_NUM_THREADS=1 $(BIN)/pytest

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: venv
	for name in encode pipeline files archive percolate coverage verdicts lint latency memory; do $(BIN)/python -m benchmarks.$$name --json || exit 1; done

nightly: venv services
	OMP_NUM_THREADS=1 $(BIN)/pytest -m 'slow'

# PostgreSQL and Java for the tests that run on them; without apt-get those tests skip and say why.
services:
	sh tests/services.sh

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
