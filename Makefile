# Each target does its own set-up in a fresh clone: a virtual environment in .venv, nothing global.
# `make demo`   the whole chain on a generated scene        `make test`   the tests
# `make check`  format, lint, types, shape                  `make bench`  what the engine costs, and the loop to beat
# `make docs`   the pages of the elements, from their source

# the first Python that runs and is new enough: a name on the PATH may be a shim of a version that is not there
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench docs clean

$(VENV)/base: pyproject.toml setup.py $(shell find millrace -name '_*.c')
	@test -n "$(PYTHON)" || { echo "millrace needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
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
	$(BIN)/python benchmarks/drawing.py
	$(BIN)/python benchmarks/against_the_loop.py

docs: $(VENV)/base
	$(BIN)/millrace inspect --docs docs/elements
	$(BIN)/millrace inspect --card > docs/model-card.md

clean:
	rm -rf $(VENV) build dist demo *.egg-info
