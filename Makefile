# One command a task. Each makes $(VENV) with plain venv and pip when it is missing or out of date.
#   make demo                      three models learn from real data, two of them are audited
#   make test                      the whole suite
#   make PYTHON=python3.13 test    the same with another interpreter (the environment is remade for it)

PYTHON ?= python3
VENV ?= .venv
PYVER := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
CONSTRAINTS := $(wildcard constraints/py$(PYVER).txt)
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
RUN := $(VENV)/bin/python -m
READY := $(VENV)/.ready-$(PYVER)
# Kernels keep their files inside the environment, so that notebooks run with a read-only home too.
export IPYTHONDIR := $(abspath $(VENV))/ipython
export JUPYTER_RUNTIME_DIR := $(abspath $(VENV))/jupyter

# Most of the suite's time is compilation: both workers, and the next run, share what one compiled.
test test-fast test-slow: export JAX_COMPILATION_CACHE_DIR := $(abspath $(VENV))/compiled
test test-fast test-slow: export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS := 0
test test-fast test-slow: export JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES := -1

# What is about rounding, memory or the compiled program itself is compiled as users compile it, and so
# are all losses in test-fast and all of test-slow. The rest of the suite compiles with half the effort.
AS_USERS := $(addprefix tests/,testing timing $(addprefix losses/test_,contract.py exactness.py \
	random_margins.py wide_rows.py) $(addprefix fused/test_,linear_cross_entropy.py memory.py plan.py \
	program.py))
# Compilers that do not know this flag refuse to start: it goes with the jax that is pinned here.
EMITTERS := $(if $(shell grep -s '^jax==0\.10\.' $(CONSTRAINTS)),XLA_FLAGS=--xla_cpu_use_fusion_emitters=false)
QUICKLY := JAX_DISABLE_MOST_OPTIMIZATIONS=1 $(EMITTERS)
PYTEST := pytest -n 2 --dist worksteal

.PHONY: setup setup-bench demo test test-fast test-slow lint format notebooks check-notebooks bench clean

setup: $(READY)

$(READY): pyproject.toml $(CONSTRAINTS)
	@test -n "$(PYVER)" || { echo "no interpreter called '$(PYTHON)': name one with make PYTHON=python3.12 ..."; exit 1; }
	@echo "making $(VENV) with Python $(PYVER) (once, one to three minutes)"
	@test -f $@ || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) -e '.[dev]'
	@touch $@

# torch is a contestant in the benchmarks and an oracle in some tests, never a dependency.
setup-bench: $(VENV)/.bench-$(PYVER)

$(VENV)/.bench-$(PYVER): $(READY)
	@$(PIP) -e '.[dev,bench]'
	@touch $@

demo: $(READY)
	@$(RUN) xentjax.cli train digits --seeds 3 --name demo-digits --overwrite
	@$(RUN) xentjax.cli train cnn --name demo-cnn --overwrite
	@$(RUN) xentjax.cli train gpt --canaries 4 --name demo-gpt --overwrite
	@$(RUN) xentjax.cli audit runs/demo-digits
	@$(RUN) xentjax.cli audit runs/demo-gpt

test: $(READY)
	@$(RUN) $(PYTEST) -m "not slow" $(AS_USERS)
	@$(QUICKLY) $(RUN) $(PYTEST) -m "not slow" tests $(AS_USERS:%=--ignore=%)
	@$(QUICKLY) $(RUN) $(PYTEST) --doctest-modules -p no:cacheprovider xentjax

test-fast: $(READY)
	@$(RUN) pytest -n 2 -m "not slow" tests/losses tests/test_architecture.py tests/test_public_api.py

# make test-slow SLOW="tests/audit tests/models" takes a part; the whole is most of an hour.
SLOW ?= tests
test-slow: $(READY)
	@$(RUN) $(PYTEST) -m slow $(SLOW)

lint: $(READY)
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

format: $(READY)
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .

# Runs the notebooks and refreshes their outputs; the last line drops the runner's timestamps.
notebooks: $(READY)
	@$(RUN) jupytext --quiet --to ipynb --update notebooks/*.py
	@$(RUN) pytest --nbmake --overwrite -p no:cacheprovider -o addopts= -o filterwarnings= notebooks/*.ipynb
	@$(RUN) jupytext --quiet --to ipynb --update notebooks/*.py

# Runs them without touching the files.
check-notebooks: $(READY)
	@$(RUN) pytest --nbmake -p no:cacheprovider -o addopts= -o filterwarnings= notebooks/*.ipynb

# All benches with what fits a quarter of an hour, each in a process of its own, then the report.
bench: $(VENV)/.bench-$(PYVER)
	@$(RUN) bench all

clean:
	rm -rf $(VENV)
