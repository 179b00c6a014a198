# Every habit is one word. Each target does its own set-up; a fresh machine needs Python 3.11+, make and git.
PYTHON ?= python3
VENV := .venv
GENVENV := .venv-generate
ORACLES := .venv-oracles
FUZZVENV := .venv-fuzz
BIN := $(VENV)/bin
PY := $(BIN)/python
NPM ?= npm
DRIFT := scripts/drift/node_modules/.ready
# tests that look at the whole from outside; they take twice as long when coverage follows every line of it, and what
# they run is measured by the tests of its own room
OUTSIDE := $(addprefix tests/,bench concurrency docs faults fuzz generated hostile packaging specs types \
	run402/test_run402_keystore_killed.py)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_CONSTRAINT := $(abspath constraints.txt)

.PHONY: help setup generate check-generated check check-types check-code check-docs test test-outside test-measured fuzz demo bench docs drift clean
help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready  ## install tollkit for development into .venv

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tollkit needs Python 3.11 or newer")'
	@echo "installing into $(VENV) (a minute, once)"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --upgrade pip
	@$(PY) -m pip install --quiet --editable '.[all]' --group dev
	@touch $@

$(GENVENV)/.ready: constraints-generate.txt
	@test -x $(GENVENV)/bin/python || $(PYTHON) -m venv $(GENVENV)
	@PIP_CONSTRAINT= $(GENVENV)/bin/python -m pip install --quiet --requirement constraints-generate.txt
	@touch $@

$(ORACLES)/.ready: pyproject.toml constraints.txt constraints-oracles.txt
	@echo "installing into $(ORACLES) (a minute, once)"
	@test -x $(ORACLES)/bin/python || $(PYTHON) -m venv $(ORACLES)
	@$(ORACLES)/bin/python -m pip install --quiet --upgrade pip
	@$(ORACLES)/bin/python -m pip install --quiet --constraint constraints-oracles.txt --editable '.[payments,oidc]' --group oracles
	@touch $@

generate: setup $(GENVENV)/.ready  ## write generated/ from specs/, and the pages of docs/ that tell of them
	@$(GENVENV)/bin/python scripts/generate.py
	@$(PY) scripts/run402_methods.py

check-generated: $(GENVENV)/.ready  ## fail when generated/ is not what specs/ give
	@$(GENVENV)/bin/python scripts/generate.py --check

# with -j2 its parts run side by side
check: check-generated check-types check-code check-docs  ## format, lint, types, layout, public names, specs, docs

check-types: setup $(GENVENV)/.ready
	$(BIN)/pyright
	$(BIN)/mypy overlay/tollkit generated/tollkit_api scripts
	MYPYPATH=scripts $(BIN)/mypy --python-executable $(GENVENV)/bin/python scripts/generate.py scripts/generator/*.py
	$(BIN)/pyright -p scripts/generator
	$(PY) scripts/check_types.py

check-code: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(PY) scripts/check_layout.py
	$(PY) scripts/check_names.py
	$(PY) scripts/check_docstrings.py
	$(PY) scripts/audit.py
	$(PY) scripts/lint_specs.py

check-docs: setup
	$(PY) scripts/run402_methods.py --check
	$(PY) scripts/bench/page.py --check
	$(PY) scripts/check_docs.py

test: test-outside test-measured  ## run the tests, with coverage; tells what it left out and why

test-outside: setup $(GENVENV)/.ready $(ORACLES)/.ready $(DRIFT)
	$(BIN)/pytest -n auto --dist worksteal $(OUTSIDE)

test-measured: setup $(GENVENV)/.ready $(ORACLES)/.ready $(DRIFT)
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -n auto --dist worksteal $(addprefix --ignore=,$(OUTSIDE))
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

$(FUZZVENV)/.ready: pyproject.toml constraints.txt
	@test -x $(FUZZVENV)/bin/python || $(PYTHON) -m venv $(FUZZVENV)
	@$(FUZZVENV)/bin/python -m pip install --quiet --upgrade pip
	@$(FUZZVENV)/bin/python -m pip install --quiet --editable '.[payments,oidc]' --group fuzz
	@touch $@

fuzz: $(FUZZVENV)/.ready  ## look for inputs that break a parser, FUZZ_SECONDS (30) for each target
	@$(FUZZVENV)/bin/python scripts/fuzz/run.py

demo: setup  ## watch the whole job of each platform run against an embedded sandbox
	@$(PY) scripts/demo.py

bench: setup $(GENVENV)/.ready  ## measure, as ratios against peers in the same run
	@$(PY) scripts/bench/run.py

docs: setup  ## build the documentation into site/, warnings as errors, and run every snippet of README.md and docs/
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet
	@echo "docs: site/index.html"
	$(PY) scripts/check_docs.py

# without npm the tests that need it say so and are left out
$(DRIFT): scripts/drift/package.json
	@command -v $(NPM) >/dev/null || { echo "no npm here: the drift report is left out"; exit 0; }; cd scripts/drift && $(NPM) install --silent --no-audit --no-fund --no-package-lock
	@mkdir -p $(dir $@); touch $@

drift: setup $(DRIFT)  ## FROM=usage/v2026_05 TO=usage/v2026_08: what changed between two versions
	@$(PY) scripts/drift/drift.py $(FROM) $(TO)

clean:  ## remove everything that make made, but for generated/
	rm -rf $(VENV) $(GENVENV) $(ORACLES) $(FUZZVENV) build dist site htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name node_modules -prune -exec rm -rf {} +
	find . -name __pycache__ -prune -exec rm -rf {} +
