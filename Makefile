# Every target sets itself up: no environment to activate by hand.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
READY := $(VENV)/.ready
PYTHON ?= $(shell for python in python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$python && break; done)
TORCH ?= torch==2.13.0
EXPERIMENTS = $(shell sed -n 's/^      \([a-z0-9-]*\): {dataset: .*/\1/p' dvc.yaml)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := 1

help:  ## what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## the virtual environment (.venv); TORCH='torch==2.13.0 --index-url ...' chooses a CUDA build

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Lectern needs Python 3.11 or 3.12 on the PATH; name one: make setup PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --disable-pip-version-check $(TORCH)
	pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,server]'
	@touch $@

demo: $(READY)  ## every task end to end on sample data, each sample promoted; no downloads
	dvc repro --quiet --glob 'register@demo-*'
	-@for model in $$(lectern registry list --names 'sample_*'); do lectern promote $$model; done
	@lectern experiments 'demo-*'
	@echo "Next: make serve (ask the models), make ui (curves, pictures, registry), lectern --help, and for the real data: make repro"

test: $(READY)  ## the quick tests
	pytest

repro: $(READY)  ## everything on the real data, at the budget of params.yaml; -j8 for eight experiments at once
	dvc repro $(if $(findstring -j,$(MAKEFLAGS)),--glob 'preprocess@*')
	$(if $(findstring -j,$(MAKEFLAGS)),$(MAKE) --keep-going $(EXPERIMENTS:%=repro/%))
	lectern reconcile

# one experiment; several at once keep apart by DVC's own locks, as what they share has been made before
repro/%: $(READY)
	dvc repro register@$*

ui: $(READY)  ## MLflow over the local store, http://127.0.0.1:5000
	mlflow ui --backend-store-uri "$$(lectern store)" --host 127.0.0.1 --port 5000

mlflow-server: $(READY)  ## an MLflow server for many, with accounts, http://127.0.0.1:5001; docs/server.md
	deploy/mlflow/start

serve: $(READY)  ## a web page and an API over the champions, http://127.0.0.1:8000
	lectern serve

lint: $(READY)  ## ruff
	ruff check
	ruff format --check

clean:  ## delete the environment, and what only resumes a training
	rm -rf $(VENV) runs

.PHONY: help setup demo test repro ui mlflow-server lint clean serve
