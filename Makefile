PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export RAY_ENABLE_UV_RUN_RUNTIME_ENV := 0

.PHONY: setup demo test chaos lint bench serve

setup: $(STAMP)

# uv is quick; pip does the same where uv cannot reach the package index.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt --editable '.[dev]' \
	  || $(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

demo: setup
	$(BIN)/atelier demo

serve: setup
	$(BIN)/atelier serve

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/pytest

chaos: setup
	$(BIN)/pytest -m "chaos or long" --override-ini timeout=1200

bench: setup
	$(BIN)/python -m benchmarks.run
