# make demo, make test: all a new user needs. Both install into $(VENV) first.
VENV ?= .venv
PYTHON ?= python3
# faiss-cpu and faiss-gpu exclude each other; a machine with an NVIDIA driver gets the second.
EXTRA ?= $(shell command -v nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := $(shell find csrc -name '*.cpp' -o -name '*.hpp') CMakeLists.txt pyproject.toml constraints.txt
export RAY_USAGE_STATS_ENABLED = 0

.PHONY: install demo test test-all lint format bench clean

install: $(STAMP)

$(STAMP): $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade -c constraints.txt pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[$(EXTRA),test]'
	touch $@

demo: $(STAMP)
	$(BIN)/hashnet demo --output demo

test: $(STAMP)
	$(BIN)/python -m pytest -m 'not slow and not gpu'

test-all: $(STAMP)
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt ruff mypy clang-format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $$(find csrc tests benchmarks -name '*.cpp' -o -name '*.hpp')

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/clang-format -i $$(find csrc tests benchmarks -name '*.cpp' -o -name '*.hpp')

bench: $(STAMP)
	$(BIN)/python -m benchmarks.bench_search

clean:
	rm -rf build demo .pytest_cache .mypy_cache .ruff_cache
