# make demo   set everything up and watch two alerts go out
# make test   set everything up and pass the tests
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: venv demo test test-unit test-rest check bench nightly services clean

venv: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: venv
	$(BIN)/tocsin demo --once

# Two at once: unit tests compute, the others mostly wait for brokers, kills and restarts.
test: venv services
	$(MAKE) --jobs=2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) test-unit test-rest

test-unit:
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/unit

test-rest:
	OMP_NUM_THREADS=1 $(BIN)/pytest tests --ignore=tests/unit

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: venv
	for name in encode pipeline files archive percolate coverage verdicts lint latency memory; do $(BIN)/python -m benchmarks.$$name --json || exit 1; done

nightly: venv services
	OMP_NUM_THREADS=1 $(BIN)/pytest -m 'slow'
	OMP_NUM_THREADS=1 $(BIN)/pytest -m hypothesis --hypothesis-profile=default

# PostgreSQL and Java for the tests that run on them; without apt-get those tests skip and say why.
services:
	sh tests/services.sh

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
