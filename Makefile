# `make demo` and `make test` need only make and Python 3.11 or later: they make the
# environment .venv in this folder themselves. Nothing has to be activated.
#
#   make PYTHON=/path/to/python3 …   takes that Python for .venv
#   make test ARGS="-k median"       hands pytest (or bench) more arguments

PYTHONS := $(if $(PYTHON),'$(PYTHON)',python3.14 python3.13 python3.12 python3.11 python3 python)
VENV_PYTHON := .venv/$(if $(filter Windows_NT,$(OS)),Scripts/python.exe,bin/python)
STAMP := .venv/made-for

# What is set for another Python must not reach this one. Tests start it hundreds of times, each a
# third slower where bytecode is not kept.
unexport PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# An environment does not survive that its folder is moved or its Python removed.
WHOLE := $(shell [ "$$(cat $(STAMP) 2>/dev/null)" = "$$(pwd -P)" ] && $(VENV_PYTHON) -c '' 2>/dev/null && echo yes)
ifneq ($(WHOLE),yes)
.PHONY: $(STAMP)
endif

.PHONY: help demo test lint bench soak clean

help:
	@echo 'make demo    a synthetic night of frames, and the whole workflow on it (folder demo/)'
	@echo 'make test    the tests'
	@echo 'make lint    style and types: ruff, mypy'
	@echo 'make bench   the benchmarks'
	@echo 'make soak    the tests with many more examples and moments (long); ends with what was tried'
	@echo 'make clean   remove .venv and whatever else was made here'

demo: $(STAMP)
	@$(VENV_PYTHON) -m pulsar_dask.demo

# One process more than there are cores: tests of clusters and kills mostly wait.
test: $(STAMP)
	$(VENV_PYTHON) -m pytest --dist worksteal \
	    -n $$($(VENV_PYTHON) -c 'import os; print(min(4, 1 + (os.cpu_count() or 1)))') $(ARGS)

lint: $(STAMP)
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m mypy

bench: $(STAMP)
	$(VENV_PYTHON) benchmarks/bench.py $(ARGS)

soak: $(STAMP)
	$(VENV_PYTHON) -m pytest -n auto --maxprocesses 4 --dist worksteal --hypothesis-profile=soak -m '' $(ARGS)

clean:
	rm -rf .venv .venv-oldest demo build *.egg-info benchmarks/data
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find pulsar_dask tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

# One shell runs it all, so that what it finds is still known where it is used.
$(STAMP): pyproject.toml
	@fail() { echo >&2; for line in "$$@"; do echo "make: $$line" >&2; done; exit 1; }; \
	chosen=; bare=; \
	for python in $(PYTHONS); do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	    if "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; \
	    then chosen=$$python; break; else bare=$$python; fi; \
	done; \
	if [ -z "$$chosen$$bare" ]; then fail \
	    'Python 3.11 or later is missing; looked for:' \
	    "    $(PYTHONS)" \
	    'Install it (python.org, or the packages of your system), or say where it is:' \
	    '    make PYTHON=/path/to/python3 …'; \
	fi; \
	if [ -z "$$chosen" ]; then fail \
	    "$$bare cannot make an environment: its module venv or ensurepip is missing." \
	    'Debian and Ubuntu have them in a package of their own: apt install python3-venv'; \
	fi; \
	if [ '$(WHOLE)' != yes ]; then \
	    echo "Making the environment .venv with $$("$$chosen" -V) (once; a minute or two) …"; \
	    rm -rf .venv; \
	    "$$chosen" -m venv .venv || { rm -rf .venv; fail \
	        'the environment .venv could not be made; the lines above say why.'; }; \
	else echo 'pyproject.toml has changed: bringing .venv up to date …'; fi; \
	$(VENV_PYTHON) -m pip install --quiet --editable '.[test]' || fail \
	    'pip could not install what is needed into .venv; the lines above say why.' \
	    'Is there a network, and does pip reach PyPI (or the mirror you have set for it)?' \
	    "Is $$("$$chosen" -V) too new for one of the packages? make PYTHON=python3.12 … takes another."; \
	pwd -P > $(STAMP)
