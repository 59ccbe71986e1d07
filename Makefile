# Everything runs in .venv; nothing but Python 3.11+ is needed beforehand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OLDEST := .venv-oldest
# Neighbours in a file share what their fixtures made, so each worker takes a run of them and gives away what it has not begun.
SUITE := -m "not slow and not faults and not docs and not dft and not fuzz" -n 2 --dist worksteal

# Each of the hundreds of commands that tests start would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help discover test test-python test-oldest test-nojit test-slow test-faults test-fuzz test-docs test-dft docs figures lint check release-check bench bench-peers replay finding ablation data clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(VENV)/.core: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("error: needs Python 3.11 or newer, found " + sys.version.split()[0] + "; try make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV); this takes a minute or two"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all]'
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@echo "Setting up $(VENV) for development; this takes a minute or two"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

# GPAW takes SciPy's BLAS, and libxc (hybrid functionals) where it is installed; an MPI without headers would break the build.
$(VENV)/.dft: $(VENV)/.dev
	@command -v $(CXX) >/dev/null || { echo "error: GPAW needs a C++ compiler, found no '$(CXX)'; try make CXX=clang++"; exit 1; }
	@printf 'mpi = False\nnoblas = True\n' > $(VENV)/gpaw_siteconfig.py
	CC=$(CXX) GPAW_CONFIG=$(abspath $(VENV)/gpaw_siteconfig.py) $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-cache-dir --no-binary gpaw -e '.[gpaw]'
	@touch $@

discover: $(VENV)/.core  ## learn from data/oxides.csv and propose what to compute next
	$(BIN)/sisso-sal discover data/oxides.csv

# With STRICT_WARNINGS=1 a warning of any package is an error. Examples of hypothesis are the same in every run.
test: $(VENV)/.dev  ## the test suite: about six minutes on two cores
	$(BIN)/python -m pytest $(SUITE)

test-python:  ## the test suite with another Python in an environment of its own: make test-python PYTHON=python3.13
	$(MAKE) test VENV=.venv-$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# uv finds the lowest versions that pyproject.toml allows. NumPy 2.0 and others of its age have no wheels for Python 3.13.
$(OLDEST)/.test: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("error: the oldest versions need Python 3.11 or 3.12, found " + sys.version.split()[0] + "; try make PYTHON=python3.11 test-oldest") if sys.version_info[:2] not in ((3, 11), (3, 12)) else None'
	@test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	@echo "Setting up $(OLDEST); this takes a minute or two"
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check uv
	@$(OLDEST)/bin/uv pip install --quiet --python $(OLDEST)/bin/python --resolution lowest-direct -e '.[test]'
	@touch $@

test-oldest: $(OLDEST)/.test  ## the test suite with the oldest versions of other packages that pyproject.toml allows
	NUMBA_CACHE_DIR=$(abspath $(OLDEST)/numba) $(OLDEST)/bin/python -m pytest $(SUITE)

# Plain Python warns where a kernel overflows or divides by zero, which is meant to happen there.
test-nojit: $(VENV)/.dev  ## kernels and engine as plain Python, without numba, for coverage
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -m "not slow" -W ignore::RuntimeWarning \
		tests/engine tests/features tests/property/test_engine_properties.py

test-slow: $(VENV)/.dev  ## scientific checks that take minutes
	$(BIN)/python -m pytest -m slow

test-faults: $(VENV)/.dev  ## kills, cuts and full disks, all of them: under 20 minutes
	$(BIN)/python -m pytest -m faults -n 2

test-fuzz: $(VENV)/.dev  ## thousands of wrong inputs, and property tests with other and more examples: under ten minutes; FUZZ_SEED=1 tries others
	$(BIN)/python -m pytest -m fuzz -n 2 tests/fuzz
	$(BIN)/python -m pytest -m "hypothesis and not slow and not faults" --hypothesis-profile random --hypothesis-seed $${FUZZ_SEED:-0} -n 2

test-docs: $(VENV)/.dev  ## the examples of README and docs, the notebooks, and the documentation site without a warning
	$(BIN)/python -m pytest -m docs -n 2 --dist worksteal tests/examples

docs: $(VENV)/.dev  ## the documentation site in docs/_build/html; a warning is an error
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

figures: $(VENV)/.dev  ## the figures of the concept pages, drawn anew
	$(BIN)/python docs/figures.py

# One thread: two that share a busy core wait for each other and take twelve times as long.
test-dft: $(VENV)/.dft  ## real calculations on GPAW, which is built for it with a C++ compiler
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m dft -s tests/oracle

lint: $(VENV)/.dev  ## formatting, lint, import order between rooms, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/basedpyright

check: test lint  ## what a change must pass

# A new environment with the wheel alone, in which the main job is run outside the checkout.
release-check: $(VENV)/.core  ## build sdist and wheel, check them, install the wheel in a clean environment and run the main job
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'build>=1.2' 'twine>=6.1'
	rm -rf dist $(VENV)-wheel
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*
	$(PYTHON) -m venv $(VENV)-wheel
	wheel=$$(echo dist/*.whl); $(VENV)-wheel/bin/python -m pip install --quiet --disable-pip-version-check "$$wheel[report]"
	table=$(abspath data/oxides.csv) command=$(abspath $(VENV)-wheel/bin/sisso-sal); cd $$(mktemp -d) \
		&& $$command doctor >/dev/null && $$command discover $$table --quiet && test -s runs/oxides/report.html
	rm -rf $(VENV)-wheel
	@grep -q '^Homepage' pyproject.toml || echo "to do before a release: Homepage, Source and Issues in [project.urls] of pyproject.toml"
	@! grep -q 'to be named' paper.md || echo "to do before a release: authors and affiliation in paper.md"

bench: $(VENV)/.dev  ## tables of accuracy and speed, beside the commit before, and how cost grows in docs/growth*.png; BEFORE=COMMIT compares with another
	$(BIN)/python benchmarks/accuracy.py
	$(BIN)/python benchmarks/pace.py $(if $(BEFORE),--before $(BEFORE))
	$(BIN)/python benchmarks/prediction.py
	$(BIN)/python benchmarks/one_more.py
	$(BIN)/python benchmarks/oxides.py
	$(BIN)/python benchmarks/pace.py --plot docs/growth.png
	$(BIN)/python benchmarks/speed.py --plot docs/growth-of-a-pass.png

replay: $(VENV)/.core  ## simulated campaigns on the labelled rows of data/oxides.csv
	$(BIN)/sisso-sal replay data/oxides.csv --n-start 15 --evaluations 20 --plot found.png --force

finding: $(VENV)/.dev  ## simulated campaigns of several strategies on several tables, from the same starts; kept in finding.json
	$(BIN)/python benchmarks/finding.py --json finding.json

ablation: $(VENV)/.dev  ## what each choice of the ensemble is worth
	$(BIN)/python benchmarks/ablation.py
	$(BIN)/python benchmarks/ablation.py --laws
	$(BIN)/sisso-sal replay data/oxides.csv --n-start 15 --evaluations 20 --surrogates sisso --acquisitions search,hits,mean,ei,lcb,thompson

bench-peers: $(VENV)/.dev  ## other programs on the same tables, in an environment of their own
	$(BIN)/python benchmarks/peers.py

data: $(VENV)/.dev  ## rebuild the tables of oxides and the elemental values
	$(BIN)/python data/build_elements.py
	$(BIN)/python data/build_oxides.py
	$(BIN)/python data/build_melting.py
	$(BIN)/python data/build_enthalpies.py
	$(BIN)/python data/build_halides.py
	$(BIN)/python data/build_ions.py

clean:  ## remove the environment and caches
	rm -rf $(VENV) .venv-* build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
