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

# Three processes for two cores, since a third of the time is waiting; a file at a time. Tensors are
# small: more threads only wait for each other.
test: export OMP_NUM_THREADS ?= 1
test: setup
	$(BIN)/python -m pytest -n 3 --dist loadfile $(PYTEST_ARGS)

check: setup
	.ci/check

clean:
	rm -rf $(VENV) build dist out *.egg-info
