PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export RAY_ENABLE_UV_RUN_RUNTIME_ENV := 0

.PHONY: setup demo oracles test chaos lint bench serve

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

# Peers that our maths is tested against; apart, since what they bring would hide packages of ours.
ORACLES := $(VENV)/oracles/.installed
oracles: $(ORACLES)

$(ORACLES): $(STAMP)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --target $(VENV)/oracles verl==0.9.1 \
	  tensordict==0.15.3 pyvers==0.2.3 cloudpickle==3.1.3 omegaconf==2.4.0 codetiming==1.4.0 orjson==3.13.0 \
	  && touch $@ || echo "verl cannot be installed; the tests against it are skipped"

test: lint oracles
	$(BIN)/pytest

chaos: setup
	$(BIN)/pytest -m "chaos or long" --override-ini timeout=1200

bench: setup
	$(BIN)/python -m benchmarks.run
