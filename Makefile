# make demo   set up .venv and run both jobs        make test   set up .venv, then lint, types, the site and every test
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Two test processes share the cores; sleeping threads must not spin. Each takes neighbours, so that what a file's tests share is made once.
JOBS ?= 2
TEST_ENV := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive

# The compiled kernels, again whenever a source of theirs has changed
NATIVE := mgnet/pde/native
KERNELS := $(VENV)/.kernels

KERNEL_TESTS := tests/pde/test_native*.py tests/pde/test_arrays.py tests/pde/test_twins.py tests/pde/test_interpolant.py

.PHONY: setup demo test tests sanitize instruction-sets lint types docs serve format notebooks bench clean

setup: $(KERNELS)

$(KERNELS): $(READY) hatch_build.py $(wildcard $(NATIVE)/*.cpp $(NATIVE)/*.h) $(NATIVE)/CMakeLists.txt
	$(BIN)/python hatch_build.py
	touch $@

$(READY): pyproject.toml
	@echo "Setting up $(VENV): one to two minutes, about 5 GB"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "hatchling>=1.26" "hatch-fancy-pypi-readme>=24.1" editables "cmake>=3.26" "ninja>=1.11" "nanobind>=3.0"
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable ".[dev]" # compiles in build/native, once
	touch $@

demo: setup
	$(BIN)/mgnet demo

test: lint types docs tests

tests: setup
	$(TEST_ENV) $(BIN)/python -m pytest -n $(JOBS) --dist worksteal --durations 10

# The kernels' tests under the address and undefined-behaviour sanitizers (the plainest instruction set); -s shows their report
sanitize: setup
	CXXFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -g1" CMAKE_ARGS=-DMGNET_PLAIN=ON BUILD=sanitized $(BIN)/python hatch_build.py
	LD_PRELOAD="$$(c++ -print-file-name=libasan.so) $$(c++ -print-file-name=libstdc++.so)" ASAN_OPTIONS=detect_leaks=0 \
	$(TEST_ENV) $(BIN)/python -m pytest -q -s -k "not sources" $(KERNEL_TESTS); result=$$?; $(BIN)/python hatch_build.py && exit $$result

# The same tests on each instruction set that the machine has
instruction-sets: setup
	for name in $$($(BIN)/python -c "from mgnet.pde.native import machines; print(*machines())"); do \
	    MGNET_MACHINE=$$name $(TEST_ENV) $(BIN)/python -m pytest -q -n $(JOBS) $(KERNEL_TESTS) tests/pde/test_oracles.py tests/pde/test_clusters.py || exit 1; \
	done

# Code in the guides is as wide as their readers' screens
GUIDES := README.md CONTRIBUTING.md $(wildcard docs/*.md)
NARROW := --line-length 84

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ruff format --check $(NARROW) $(GUIDES)

types: setup
	$(BIN)/mypy

# Five seconds: cheap enough to be part of every check. Warnings are errors.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "site/index.html is ready; its search works under make serve"

serve: docs
	$(BIN)/python -m http.server --directory site --bind 127.0.0.1 8000

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/ruff format $(NARROW) $(GUIDES)

# Execute the notebooks and keep their outputs
notebooks: setup
	$(TEST_ENV) $(BIN)/python notebooks/execute.py

bench: setup
	$(BIN)/mgnet bench poisson
	$(BIN)/mgnet bench training

clean:
	rm -rf $(VENV) $(NATIVE)/_native*.so build dist site mgnet-demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
