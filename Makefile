# The newcomer's commands: `make demo` and `make test`. Needs Python >= 3.11 with pip, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
JOBS ?= 2
.PHONY: demo test cover slow check format docs accept bench bench-peers clean

demo: $(VENV)/.runtime  ## fit three models on real digits, measure, bound, audit; writes runs/digits/report.html
	test -f runs/digits/results.json || $(BIN)/wasserscore run digits --out runs/digits
	@echo "open runs/digits/report.html"

test: $(VENV)/.dev  ## the default tests (under 6 minutes on 2 cores)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) -m "not slow and not accept and not gpu"

cover: $(VENV)/.dev  ## the default tests once more, with the lines they reach (nearly twice as long)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) -m "not slow and not accept and not gpu" --cov --cov-report=term:skip-covered --cov-fail-under=90

slow: $(VENV)/.dev  ## the tests that take longer
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) -m "slow and not accept and not gpu" --durations=25

check: $(VENV)/.dev  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs  ## docs/_build/html/index.html
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

accept: $(VENV)/.dev  ## every acceptance number at full size, resumable (hours); DATA=DIR has the data sets
	$(BIN)/python -m benchmarks.accept $(if $(DATA),--data $(DATA))
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "accept and not gpu"

bench: $(VENV)/.dev  ## the benchmark book: every light benchmark, and the list in benchmarks/README.md
	$(BIN)/python -m benchmarks.book

bench-peers: $(VENV)/.dev  ## our samplers and kernel sums against other libraries, installed beside the project in .venv-peers
	test -d .venv-peers || $(BIN)/python -m venv .venv-peers
	$(BIN)/python -c 'import site; print(site.getsitepackages()[0])' > $$(.venv-peers/bin/python -c 'import site; print(site.getsitepackages()[0])')/project.pth
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/peers.txt
	OMP_NUM_THREADS=1 PYTHONPATH=src .venv-peers/bin/python -m benchmarks.sampler_peers
	PYTHONPATH=src .venv-peers/bin/python -m benchmarks.kernel_engine

clean:
	rm -rf .venv-peers $(VENV) docs/_build docs/api build dist

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "wasserscore needs Python >= 3.11; got $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python constraints.txt pyproject.toml
	@echo "installing wasserscore into $(VENV) (about a minute; torch is the large part)"
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(PIP) -e '.[dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.dev
	$(PIP) -e '.[docs]'
	@touch $@
