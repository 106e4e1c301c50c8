# Two commands do everything on a fresh machine with Python 3.11 or later and make:
#   make book    make test
PYTHON ?= python3
PROFILE ?= quick
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
TORCH := $(shell grep '^torch==' requirements.lock)

.DEFAULT_GOAL := help
.PHONY: help book full pdf test hunt lint lock clean

help: ## show this list
	@grep -E '^[.a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.venv: $(READY) ## the environment, exactly as in requirements.lock

# torch goes first and with its own dependencies: they differ between machines, so that the
# lock names none of them.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "lipsnn needs Python 3.11 or later: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

book: $(READY) ## execute the notebooks (PROFILE=quick) and build the book
	$(PY) -m book.build --profile $(PROFILE)

full: $(READY) ## the same at the paper's scale, and each result that is not current
	$(PY) -m book.full

pdf: $(READY) ## the built book as one file, _build/lipsnn.pdf (needs Debian's chromium)
	@test -f _build/html/book/intro.html || $(PY) -m book.build --profile $(PROFILE)
	$(PY) -m book.pdf

# Two processes, one thread each: more would oversubscribe the cores.
test: export OMP_NUM_THREADS = 1
test: export OPENBLAS_NUM_THREADS = 1
test: $(READY) ## run all tests, two at a time
	$(PY) -m pytest -n 2 --dist loadgroup

lint: $(READY) ## ruff, mypy, and the contracts of imports
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

hunt: $(READY) ## look for errors in random cases for LIPSNN_HUNT_SECONDS (an hour)
	LIPSNN_HUNT_SECONDS=$${LIPSNN_HUNT_SECONDS:-3600} $(PY) -m pytest tests/hunt

# Without --upgrade a version stays while it satisfies pyproject.toml. torch's own dependencies
# differ between machines.
lock: $(READY) ## resolve pyproject.toml into requirements.lock (UPGRADE=--upgrade: the newest)
	echo '$(TORCH)' | $(VENV)/bin/uv pip compile --quiet --no-annotate --no-header $(UPGRADE) \
	  --python-version 3.11 --constraints - --output-file requirements.lock pyproject.toml \
	  --extra mosek --extra book --extra dask --extra dev
	sed -i -E '/^(nvidia|cuda|triton|setuptools|wheel)/d' requirements.lock

clean: ## remove what was built, the environment included
	rm -rf $(VENV) _build book/executed book/generated .pytest_cache .mypy_cache .ruff_cache .hypothesis
