# make demo   set up .venv and run both jobs        make test   set up .venv, then lint, types, the site and every test
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Two test processes share the cores; sleeping threads must not spin.
JOBS ?= 2
TEST_ENV := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive

# The compiled kernels, again whenever a source of theirs has changed
NATIVE := mgnet/pde/native
KERNELS := $(VENV)/.kernels

.PHONY: setup demo test tests lint types docs format notebooks bench clean

setup: $(KERNELS)

$(KERNELS): $(READY) hatch_build.py $(wildcard $(NATIVE)/*.cpp $(NATIVE)/*.h) $(NATIVE)/CMakeLists.txt
	$(BIN)/python hatch_build.py
	touch $@

$(READY): pyproject.toml
	@echo "Setting up $(VENV): one to two minutes, about 5 GB"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

demo: setup
	$(BIN)/mgnet demo

test: lint types docs tests

tests: setup
	$(TEST_ENV) $(BIN)/python -m pytest -n $(JOBS) --durations 10

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

# Five seconds: cheap enough to be part of every check. Warnings are errors.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "site/index.html is ready"

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Execute the notebooks and keep their outputs
notebooks: setup
	$(TEST_ENV) $(BIN)/python notebooks/execute.py

bench: setup
	$(BIN)/mgnet bench poisson
	$(BIN)/mgnet bench training

clean:
	rm -rf $(VENV) $(NATIVE)/_native*.so build dist site mgnet-demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
