# make demo   set up, pull, build, start, ask one question twice (the second time with an owner left out)
# make test   set up, pull, build, run the test suite
# make up     start the stack and leave it running;  make lint   style, types and import boundaries
# make test-lm-eval   lm-eval, in an environment of its own, against the model service

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LM_EVAL := $(or $(CANDOR_HOME),$(HOME)/.cache/candor)/lm-eval-venv
READY := $(VENV)/.ready

.PHONY: demo test test-lm-eval lint up data
.DEFAULT_GOAL := demo

demo: $(READY)
	$(BIN)/candor demo

up: data
	$(BIN)/candor up

test: lint data
	$(BIN)/pytest

test-lm-eval: data $(LM_EVAL)/.ready
	$(BIN)/pytest tests/lm_eval

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

data: $(READY)
	$(BIN)/candor data pull
	$(BIN)/candor data build

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Candor needs Python 3.11 or newer as '$(PYTHON)'. On Debian: apt-get install python3 python3-venv."; \
	  echo "Another interpreter: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments. On Debian: apt-get install python3-venv."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

# its pins clash with ours
$(LM_EVAL)/.ready: tests/lm_eval/constraints.txt
	$(PYTHON) -m venv $(LM_EVAL)
	$(LM_EVAL)/bin/pip install --quiet --requirement tests/lm_eval/constraints.txt
	@touch $@
