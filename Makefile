# Everything a developer does. Needs Python 3.11 (or 3.12) with pip, and make; the rest is installed here.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench chaos kafka screenshot clean

# What tests and demo start are hundreds of programs: without bytecode on disk each compiles 350 modules anew, for 0.4 s.
unexport PYTHONDONTWRITEBYTECODE

# The distribution's before one on the PATH, which may be pyenv's: those are built without a profile, as a rule, and take
# 15 to 25 % longer for the same Python. `make setup` of a .venv that is there keeps its own.
PYTHON ?= $(firstword $(foreach one,/usr/bin/python3.11 python3.11 python3.12 python3,$(shell $(one) -m pip --version >/dev/null 2>&1 && command -v $(one))))
VENV := .venv
BIN := $(VENV)/bin
UV_HOME := .venv-uv
UV := $(UV_HOME)/bin/uv
INSTALL := $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python \
	--constraints constraints.txt --build-constraints constraints.txt

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

setup: $(VENV)/.installed ## Make .venv with .venv/bin/tapeflow and all that the tests need

demo: setup ## Run the platform for some seconds on simulated data, and show what came out
	$(BIN)/tapeflow demo

# Three at a time, for a third of the time tests wait; a module whole on one side: its fixtures (a store, a fed log) are
# made once. A side that dies is not replaced: xdist would give out the modules that it had done again, without a test in them, and wait for ever.
test: lint ## Lint, then every test
	$(BIN)/python -m pytest --numprocesses 3 --dist loadscope --no-loadscope-reorder --max-worker-restart 0

lint: setup ## Ruff (check and format) and mypy (strict)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-bench ## Measure everything that has a wanted figure, beside its baseline
	$(BIN)/python -m bench

SEED ?=
chaos: setup ## Kill the programs 200 times over both logs, and prove that nothing is lost or doubled (SEED=N)
	$(BIN)/python -m tests.end_to_end.chaos --kills 200 --log both $(if $(SEED),--seed $(SEED))

kafka: setup ## Start a real Kafka broker on free loopback ports, until Ctrl-C
	$(BIN)/python -m infra.kafka.broker

screenshot: setup ## Make docs/dashboard.png anew (needs Chromium; real ticks where ../shared has them)
	$(BIN)/python -m tests.serving.dashboard.screenshot docs/dashboard.png

clean: ## Remove what was installed here (data under .tapeflow stays)
	rm -rf $(VENV) $(UV_HOME)

# uv comes from the package index by pip, into a folder of its own: `venv` with pip inside would need
# ensurepip, which a distribution's bare Python may lack.
$(UV): constraints.txt
	@test -n "$(PYTHON)" || { echo "make: no python3.11 with pip; install Python 3.11 and its pip, or say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo 'setup: uv, by pip'
	@$(PYTHON) -m pip install --quiet --root-user-action ignore --disable-pip-version-check --upgrade --target $(UV_HOME) --constraint constraints.txt uv
	@touch $@

$(VENV)/.installed: pyproject.toml constraints.txt $(UV)
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	@echo 'setup: Tapeflow and what it needs, into $(VENV)'
	@$(INSTALL) --editable '.[test]'
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed
	@echo 'setup: what it is measured against'
	@$(INSTALL) --editable '.[test,bench]'
	@touch $@
