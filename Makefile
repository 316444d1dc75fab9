# The developer interface: `make demo` runs the main job, `make test` the tests, `make check` the linters.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test check clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[worker,video,models,dev]'
	touch $@

demo: setup
	$(BIN)/python examples/demo.py

# Three processes for two cores, since a third of the time is waiting; a file at a time, in order:
# sorted by their number of tests, the files of few long ones would come last and have no company.
# Tensors are small: more threads only wait for each other, asleep. Commands and test modules are
# compiled once, also where the environment says to keep no bytecode.
test: export OMP_NUM_THREADS ?= 1
test: export OMP_WAIT_POLICY ?= passive
test: export PYTHONDONTWRITEBYTECODE =
test: setup
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

check: setup
	.ci/check

clean:
	rm -rf $(VENV) build dist out *.egg-info
