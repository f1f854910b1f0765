# Each target does its own set-up in a fresh clone: a virtual environment in .venv, nothing global.
# `make demo`   the whole chain on a generated scene        `make test`   the tests
# `make check`  format, lint, types, shape                  `make bench`  what the engine costs, and the loop to beat

PYTHON ?= $(shell command -v python3.13 || command -v python3.12 || command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench clean

$(VENV)/base: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "millrace needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/dev: $(VENV)/base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(VENV)/base
	$(BIN)/millrace demo

test: $(VENV)/dev
	$(BIN)/python -m pytest

check: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_shape.py

bench: $(VENV)/dev
	$(BIN)/millrace bench
	$(BIN)/python benchmarks/against_the_loop.py

clean:
	rm -rf $(VENV) build dist demo *.egg-info
