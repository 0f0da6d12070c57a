# Two commands are all the set-up: `make lab` opens the explorer, `make test` checks everything. Each installs what it needs into .venv.
#   make lab PORT=9000       another port          BROWSER=firefox make lab      another browser
#   make test PYTHON=python3.12   another Python (3.10 to 3.13), used when .venv is made

PYTHON ?= python3
PORT ?=
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help lab test docs bench clean

help:  ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

lab: $(VENV)/.installed  ## JupyterLab on the start notebook; PORT= chooses the port
	@$(BIN)/dd-nb lab . $(if $(PORT),--port $(PORT))

# long files of tests come first (tests/conftest.py). index.ipynb runs in test_wheel.py
test: $(VENV)/.installed-dev  ## notebooks, tests, a real browser, and whether dd_nb/ is what the notebooks say
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && rc=0; \
	export DD_NB_RUNS=$$tmp/runs DD_NB_DATA=$${DD_NB_DATA:-$$tmp/data}; \
	echo "== notebooks"; OMP_NUM_THREADS=1 $(BIN)/nbdev-test nbs --n-workers 2 || rc=1; \
	echo "== tests"; $(BIN)/python -m pytest tests -n 2 --dist loadfile --no-loadscope-reorder $(ARGS) || rc=1; \
	[ $$rc = 0 ] || echo "== make test found failures; they are named above"; exit $$rc

docs: $(VENV)/.installed-docs  ## the documentation site, in _docs
	@$(BIN)/python docs/build.py $(ARGS)

bench: $(VENV)/.installed-dev  ## the benchmarks, to benchmarks/results; ARGS=--quick only tries them
	@for f in benchmarks/*.py; do [ $$f = benchmarks/common.py ] || [ $$f = benchmarks/tables.py ] || { echo "== $$f"; $(BIN)/python $$f $(ARGS) || exit 1; }; done

clean:  ## remove .venv and what was built; runs and data stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache tests/screenshots _docs
	find . -name __pycache__ -not -path './runs/*' -not -path './data/*' -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml setup.py
	$(call make_venv)
	@echo "Installing dd_nb and what it needs into $(VENV): some minutes the first time"
	@$(BIN)/python -m pip install -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml setup.py
	$(call make_venv)
	@echo "Installing dd_nb, what it needs and what its tests need into $(VENV): some minutes the first time"
	@$(BIN)/python -m pip install -e '.[dev]'
	@touch $(VENV)/.installed $(VENV)/.installed-docs $@

$(VENV)/.installed-docs: pyproject.toml setup.py
	$(call make_venv)
	@echo "Installing dd_nb and what its documentation needs into $(VENV): some minutes the first time"
	@$(BIN)/python -m pip install -e '.[docs]'
	@touch $(VENV)/.installed $@

define make_venv
@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found. Install Python 3.10 to 3.13, or name it: make PYTHON=/path/to/python $(MAKECMDGOALS)"; exit 1; }
@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || { echo "dd_nb wants Python 3.10 to 3.13, and $(PYTHON) is another. Name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: its module ensurepip is missing. On Debian and Ubuntu: apt-get install python3-venv. Then run make $(MAKECMDGOALS) again."; exit 1; }
@[ -x $(BIN)/python ] && $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
endef
