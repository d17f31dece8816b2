# make demo: from nothing to a minute of video.   make test: from nothing to every test.
PYTHON ?= python3
PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install -qq

.PHONY: demo test lint results clean

demo: .venv/.installed
	@mkdir -p out
	$(PY) -m reverie generate "a red ball rolls behind a wall and a blue box falls" --seconds 60 -o out/demo.mp4
	@echo "The video is $(CURDIR)/out/demo.mp4"

test: .venv/.installed-dev lint
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile

lint: .venv/.installed-dev
	$(PY) -m ruff check .
	$(PY) -m mypy

results: .venv/.installed-dev
	$(PY) -m reverie.evaluate.results

clean:
	rm -rf .venv out

# torch first, and that version first: it is the newest tested one; where its build is not to be had, any in range.
.venv/.torch: Makefile
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Reverie needs Python 3.11 or newer: make PYTHON=python3.12")'
	@echo "Setting up .venv, once; it takes a minute or more"
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PIP) "torch==2.13.0" || $(PIP) "torch>=2.11,<2.14"
	@touch $@

.venv/.installed: .venv/.torch pyproject.toml
	$(PIP) -e .
	@touch $@

.venv/.installed-dev: .venv/.torch pyproject.toml
	$(PIP) -e ".[dev]"
	@touch $@ .venv/.installed
