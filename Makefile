# Set-up and everyday commands; `make help` lists them. On Windows, use the pip commands of README.md instead.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help install demo test test-fast lint types tensorboard notebooks docs screenshots clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	|| { echo "error: Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.11 …"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-notebooks: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[notebooks]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.installed $(VENV)/.installed-notebooks

install: $(VENV)/.installed  ## create the virtual environment and install the commands

demo: $(VENV)/.installed  ## train on synthetic images, evaluate, and print the next steps
	$(BIN)/python -m melanoma_pl.demo

test: $(VENV)/.installed-dev  ## run every test that can run here
	$(BIN)/python -m pytest -n 2

test-fast: $(VENV)/.installed-dev  ## run the fast tests only
	$(BIN)/python -m pytest -n 2 -m 'not slow and not notebook and not browser and not real_data'

lint: $(VENV)/.installed-dev  ## check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev  ## check types
	$(BIN)/mypy

tensorboard: $(VENV)/.installed  ## show the runs under outputs/ in TensorBoard
	$(BIN)/tensorboard --logdir outputs

notebooks: $(VENV)/.installed-notebooks  ## open the notebooks in JupyterLab, with LAB_OPTIONS such as --no-browser
	MELANOMA_IMAGES="$${MELANOMA_IMAGES:+$$(realpath "$$MELANOMA_IMAGES")}" \
	MELANOMA_RUN="$${MELANOMA_RUN:+$$(realpath "$$MELANOMA_RUN")}" \
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks $(LAB_OPTIONS)

docs: $(VENV)/.installed-dev  ## build the documentation site, build/docs/html/index.html
	$(BIN)/python -m docs.site.build

screenshots: $(VENV)/.installed-dev  ## make the images of the README again, with Chromium
	$(BIN)/python -m docs.screenshots

clean:  ## remove the environment and the caches, but no runs
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
