# The commands a person needs. Each works on a fresh machine: it makes the environment it runs in.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTRUCTION ?= put the red block in the box
export MUJOCO_GL ?= egl
# One thread a process: tests run in two, and threads that wait for each other take turns at being late.
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Byte code is kept: without it every process of every run compiles sources and tests anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test check fast lint graphics coverage mutants setup dev format clean

run: setup  ## one sentence becomes a reasoned, vetted, recorded motion; leaves runs/<time>/report.html
	$(BIN)/forearm run "$(INSTRUCTION)"

test: dev  ## everything that CI runs; what runs in real time has the machine to itself
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint coverage
	$(BIN)/pytest -n 2 --dist worksteal --ignore=tests/safety

check: dev  ## what to run before every commit, about a minute
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint fast

fast:  # on two cores the types, which take one core for longest, go first
	nice -n 3 $(BIN)/pytest -n 2 --dist worksteal -m "not slow"

coverage: dev  ## the tests of safety/; fails where a branch of it is not tested by them
	$(BIN)/pytest tests/safety -n 2 --dist worksteal --cov=forearm.safety --cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=100

mutants: dev  ## changes safety/ in one place at a time; lists the changes that no test notices
	PYTHON=$(BIN)/python sh scripts/mutation.sh

lint: dev $(VENV)/.types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

# Types take as long as all quick tests: they are checked again when a source, or what it is checked against, has changed.
$(VENV)/.types: $(shell find src typings -name __pycache__ -prune -o -print) pyproject.toml $(VENV)/.dev
	$(BIN)/pyright
	touch $@

setup: $(VENV)/.run graphics  ## the environment of `make run`, without running anything

dev: $(VENV)/.dev graphics  ## the environment of `make test`

$(VENV)/.run: pyproject.toml
	@sh scripts/environment.sh $(PYTHON) $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.run
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

graphics:  ## off-screen rendering: EGL and Mesa's software renderer
	@sh scripts/graphics.sh

format:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) runs build dist .pytest_cache .ruff_cache .hypothesis
