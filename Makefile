# Every target creates the virtual environment if it is missing.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
READY := $(VENV)/.ready
PYTHON ?= $(shell for python in python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$python && break; done)
TORCH ?= torch==2.13.0
EXPERIMENTS = $(shell $(VENV)/bin/lectern experiments --names)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY ?= true
# DVC fails for a user id without a name. A comment in the line of the variable would append its blanks to the name.
export LOGNAME ?= $(shell id -un 2>/dev/null || echo "uid-$$(id -u)")

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## create the virtual environment .venv; TORCH='torch==2.13.0 --index-url ...' selects a CUDA build

# A virtual environment contains absolute paths. In a moved or copied checkout it would run the code of the original.
FOREIGN = $(shell grep -qs '^command = .* -m venv ' $(VENV)/pyvenv.cfg && \
	! grep -qF -e ' $(abspath $(VENV))' -e ' $(realpath $(VENV))' $(VENV)/pyvenv.cfg && echo foreign-environment)

foreign-environment:
	@echo "$(VENV) belongs to another folder. It is created again."
	rm -rf $(VENV)

$(READY): pyproject.toml constraints.txt $(FOREIGN)
	@test -n "$(PYTHON)" || { echo "Lectern needs Python 3.11 or 3.12 on the PATH; name one: make setup PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --disable-pip-version-check $(TORCH)
	pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,server]'
	@touch $@

$(READY): | $(if $(filter repro%,$(MAKECMDGOALS)),git)  # checked before the installation

demo: $(READY)  ## run every task on sample data in demo/ and promote each model; downloads nothing
	cd demo && dvc repro --quiet
	-@cd demo && for model in $$(lectern registry list --names 'sample_*'); do lectern promote $$model; done
	@cd demo && lectern experiments
	@echo "Next: make serve (use the models), make ui (curves, plots, registry), lectern --help, and make repro for the real data"

test: $(READY)  ## run the fast tests
	pytest -n 2 --dist loadfile

coverage: export COVERAGE_FILE = $(CURDIR)/.coverage
coverage: export COVERAGE_RCFILE = $(CURDIR)/pyproject.toml
coverage: $(READY)  ## measure the branch coverage of the fast and slow tests, in all their processes; at least 90 %
	coverage erase
	coverage run -m pytest -m "not (index or slurm or postgres or browser or faults or nightly)" -n 2 --dist loadfile
	coverage combine --quiet
	coverage report

nightly: $(READY)  ## run the tests that are too slow for every change; takes more than an hour
	pytest -m nightly -n 2 --dist loadfile

faults: $(READY)  ## kill every command before every write and fill disks; takes about an hour
	pytest -m faults -n 2 --junitxml=faults.xml
	python tests/faults/table.py faults.xml

repro: $(READY)  ## rebuild everything from the real data; -j8 runs eight experiments at once
	dvc repro $(if $(findstring -j,$(MAKEFLAGS)),--glob 'preprocess@*')
	$(if $(findstring -j,$(MAKEFLAGS)),$(MAKE) --keep-going $(EXPERIMENTS:%=repro/%))
	lectern reconcile

# One experiment. Several can run at once under DVC's locks, because their common stages have already run.
repro/%: $(READY)
	dvc repro register@$*

# The results of the real data are committed, so DVC refuses to run outside a git repository. The demo needs no git.
git:
	@git rev-parse --git-dir >/dev/null 2>&1 || { echo "make repro needs git and a clone of the repository. This folder \
	is no git repository, as in a source archive. Clone it, or run: git init && git add . && git commit --message Import"; exit 1; }

runs: $(READY)  ## list the runs of `dvc exp run`: score, baseline and what was changed
	@lectern runs

plots: $(READY)  ## draw the plots of all experiments as a web page
	lectern plots
	dvc plots show

ui: $(READY)  ## open MLflow on the local store, http://127.0.0.1:5000
	@echo "Open http://127.0.0.1:5000/#/experiments?workflowType=machine_learning"
	MLFLOW_BACKEND_STORE_URI="$$(lectern store)" mlflow ui --host 127.0.0.1 --port 5000  # `ps` shows arguments

mlflow-server: $(READY)  ## start an MLflow server with accounts, http://127.0.0.1:5001; see docs/server.md
	deploy/mlflow/start

serve: $(READY)  ## serve the champions, web page and API, http://127.0.0.1:8000
	lectern serve

lint: $(READY)  ## check style (ruff) and types (mypy)
	ruff check
	ruff format --check
	mypy

clean:  ## delete the virtual environment and the checkpoints of unfinished trainings
	rm -rf $(VENV)
	[ ! -d runs ] || find runs -mindepth 1 -maxdepth 1 ! -name pending -exec rm -rf {} +  # runs/pending is the only copy

.PHONY: help foreign-environment setup demo test coverage nightly faults repro git runs plots ui mlflow-server lint clean serve
