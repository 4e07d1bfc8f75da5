# Every target makes the Python environment it needs. Another place for it: make VENV=/path demo

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
OUT := demo-output
# of each reader
INPUTS ?= 3000

.PHONY: demo notebook test test-real fuzz lint docs clean help

help:
	@echo "make demo       simulate a person, correct the distortion, compare with the truth"
	@echo "make notebook   execute the notebook of examples/ and say where the result is"
	@echo "make test       fast tests, no data needed"
	@echo "make test-real  tests on public images (see docs/development.md)"
	@echo "make fuzz       damaged files for every reader, guided by coverage (Python 3.11 or newer)"
	@echo "make lint       ruff: rules and format; hadolint; shellcheck"
	@echo "make docs       HTML documentation in docs/_build/html"
	@echo "make clean      remove what these targets wrote, except the environment"

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	@echo "==> Python environment in $(VENV) (a few minutes the first time)"
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("bids-gan needs Python 3.10 or newer; name one: make PYTHON=/path/to/python3")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[test]"
	@touch $@

demo: $(INSTALLED)
	rm -rf $(OUT)
	@echo "==> 1/4 a person whose distortion is known"
	$(BIN)/bids-gan-demo $(OUT)/bids
	@echo "==> 2/4 synthetic FA, distortion correction, report (some minutes)"
	$(BIN)/bids-gan $(OUT)/bids $(OUT)/derivatives participant --work-dir $(OUT)/work
	@echo "==> 3/4 table and page of the group"
	$(BIN)/bids-gan $(OUT)/bids $(OUT)/derivatives group --work-dir $(OUT)/work
	@echo "==> 4/4 comparison with the truth"
	$(BIN)/bids-gan-demo $(OUT)/bids --compare $(OUT)/derivatives
	@echo "report: $(abspath $(OUT))/derivatives/sub-01.html"

notebook: $(INSTALLED)
	$(BIN)/jupyter-execute --startup_timeout=300 --output="$$(mktemp -d)/t1w_to_fa.ipynb" examples/t1w_to_fa.ipynb

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not real"

test-real: $(INSTALLED)
	$(BIN)/python -m pytest -m real

fuzz: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[fuzz]"
	$(BIN)/python tests/fuzz/run.py --inputs $(INPUTS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint Dockerfile
	$(BIN)/shellcheck .ci/run examples/*.sh examples/hpc/*.sh tests/hpc/*.sh

docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html
	@echo "documentation: $(abspath docs/_build/html/index.html)"

clean:
	rm -rf $(OUT) docs/_build build dist .pytest_cache .ruff_cache
