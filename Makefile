# Three targets do everything on a bare machine (Python 3.11 or newer with venv, make, git): demo, test, linux.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.run
DEV := $(VENV)/.dev
FAST := $(VENV)/.fast
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TRACE := build/demo.jsonl
QEMU ?= $(if $(shell command -v qemu-system-aarch64),--qemu auto)
WORKERS ?= auto
PYTEST_ARGS ?= -q -n $(WORKERS) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test linux linux-tests fast lint types layers tests tiers random machines differential hostile builds terminals mutants \
	payloads bench figures docs picture locks clean

help: ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

demo: $(RUN) ## run the demo payload in a Realm: its output, then a summary
	@mkdir -p build
	@$(BIN)/realmlab run hello --trace $(TRACE) -- greetings=Realmlab

linux: $(RUN) ## boot Debian's Linux in a Realm, with a shell; its packages are fetched once by this machine's apt
	@$(BIN)/realmlab linux

linux-tests: $(DEV) ## Debian's Linux as Realms and plain VMs, with disks, networks and folders; needs Debian's archive
	$(BIN)/python -m pytest -q -n $(WORKERS) --linux tests/guests/test_guests_linux*.py

fast: $(FAST) ## once: build the patched engine and compile the hot modules, 3 minutes; make clean removes them
	@$(BIN)/python -m cca_tools.fast

test: lint types layers tests ## everything that must pass: lint, types, layers, tests

lint: $(DEV) ## ruff
	$(BIN)/ruff check .

types: $(DEV) ## mypy --strict
	$(BIN)/mypy

layers: $(DEV) ## import-linter: imports point down
	$(BIN)/lint-imports --no-cache

tests: $(DEV) ## pytest on every core; WORKERS and PYTEST_ARGS choose
	$(BIN)/python -m pytest $(PYTEST_ARGS)

tiers: $(DEV) ## after make fast: every payload and 1,000 random programs on stock and built, 8 minutes; make test does some
	$(BIN)/python -m pytest -q -n $(WORKERS) tests/guests/test_guests_tiers.py --both-tiers

random: $(DEV) ## all 1,000 random programs at Non-secure EL2, 4 minutes on two cores; make test runs 24 of them
	$(BIN)/python -m pytest -q -n $(WORKERS) tests/guests/test_guests_ns_random.py --ns-seeds 1000

machines: $(DEV) ## 1,000 machines in one process, 1,000 VMs in a machine: all stays as it was; a minute
	$(BIN)/python -m pytest -q tests/tools/test_tools_many_machines.py -k test_flat --machines 1000
	$(BIN)/python -m pytest -q tests/host/test_host_pressure.py -k test_nothing_leaks --machines 1000

differential: $(DEV) ## 100,000 random RMI calls, each compared with the model of RMM 1.0; make test makes 9,000
	$(BIN)/python -m pytest -q -n $(WORKERS) tests/properties/test_properties_rmm.py -k test_many --rmm-calls 100000

hostile: $(DEV) ## broken files of every format, odd command lines and surroundings, 5 minutes; make test runs a slice
	$(BIN)/python tests/hostile $(HOSTILE)

builds: $(DEV) ## with a wheel alone: payload projects of every world in every way, every recipe; 2 minutes; make test does some
	$(BIN)/python -m pytest -q tests/tools/test_tools_wheel.py tests/tools/test_tools_recipes.py --all-builds

terminals: $(DEV) ## every command line in ten terminals and locales, one minute; make test runs it in two
	$(BIN)/python -m pytest -q -n $(WORKERS) tests/tools/test_tools_terminals.py --all-terminals

mutants: $(DEV) ## plant defects and see whether the tests notice, an hour on one core; goes on where it was stopped
	REALMLAB_PURE=1 $(BIN)/python -m cca_tools.mutants $(MUTANTS)

payloads: $(DEV) ## write the SDK's headers from the tables, and rebuild the committed payloads from their sources
	$(BIN)/python -m cca_tools.headers
	$(BIN)/python realm_payloads/build.py

bench: $(RUN) ## measure calls, devices, starts and guest code, beside QEMU if qemu-system-aarch64 is on the PATH
	$(BIN)/realmlab bench $(QEMU)

figures: fast ## the same on both tiers, and write the tables into the README, docs/performance.md and docs/fast.md
	REALMLAB_FAST= $(BIN)/realmlab bench $(QEMU) --markdown docs/performance.md --markdown README.md
	$(BIN)/realmlab bench $(QEMU) --markdown docs/fast.md
	REALMLAB_FAST= $(BIN)/realmlab bench --scale --markdown docs/performance.md --picture docs/scale.svg

docs: $(DEV) ## write docs/reference from the tables in the code, and build the site in build/site
	$(BIN)/python -m cca_tools.reference docs/reference
	$(BIN)/python -m sphinx -q -W --keep-going -b html -d build/doctrees docs build/site
	@echo "the site is build/site/index.html"

picture: $(RUN) ## draw docs/run.svg, the run in the README, and docs/imports.svg, which folder imports which
	$(BIN)/python -m cca_tools.picture docs/run.svg
	$(BIN)/python -m cca_tools.imports docs/imports.svg

locks: ## resolve the dependencies anew (needs uv)
	requirements/update.sh

clean: ## remove the environment and everything generated
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python must be 3.11 or newer, not $$($(PYTHON) --version): make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN): requirements/run.txt pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes --only-binary :all: --requirement requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements/dev.txt $(RUN)
	$(PIP) install --require-hashes --only-binary :all: --requirement requirements/dev.txt
	@touch $@

$(FAST): requirements/fast.txt $(RUN)
	$(PIP) install --require-hashes --only-binary :all: --requirement requirements/fast.txt
	@touch $@
