# `make` alone lists the targets. Everything is installed into .venv/ and nothing outside the project changes but
# the model cache, ~/.cache/asknotes.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTHON ?= $(shell for p in python3.11 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
QUESTION ?= FlashAttention 的计算量没有减少，为什么反而更快？
TORCH := 2.13.0
UPGRADE ?=
COMPILE := $(BIN)/pip-compile --quiet --no-header --no-emit-options --no-emit-index-url --no-emit-find-links \
	--no-emit-trusted-host --strip-extras --unsafe-package pip --annotation-style line \
	--upgrade-package torch==$(TORCH) $(UPGRADE)

.DELETE_ON_ERROR:
.PHONY: help demo test quick gate lint docs lock clean models

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST)

demo: models ## set up, index the sample notes, ask one question and print the cited answer
	$(BIN)/asknotes index notes
	$(BIN)/asknotes ask --no-stream "$(QUESTION)"
	@printf '%s\n' '' 'That was the sample notes. Go on with' \
		'  $(BIN)/asknotes index ~/my-notes      your own notes instead' \
		'  $(BIN)/asknotes ask "a question"' \
		'  $(BIN)/asknotes serve                 the same over HTTP, on http://127.0.0.1:8000'

test: $(VENV)/.installed-dev models ## set up and run every test, those with the bundled weights too
	$(BIN)/python -m pytest

quick: $(VENV)/.installed-dev ## the tests without models, training, killed processes and exports: four minutes
	$(BIN)/python -m pytest -m 'not bundled and not slow'

gate: models ## retrieval on the sample notes must reach what docs/baselines/ says
	$(BIN)/asknotes eval retrieval --gold notes/gold.jsonl --notes notes --baseline docs/baselines/sample-notes.json
	$(BIN)/asknotes eval retrieval --gold notes/gold-everyday.jsonl --notes notes --baseline docs/baselines/everyday.json

lint: $(VENV)/.installed-dev ## style, types, the import rule, and whether the generated pages are current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m service.generated_docs --check
	$(BIN)/python -m eval.benchmark_page --check

docs: $(VENV)/.installed ## write docs/CLI.md, docs/CONFIG.md, docs/openapi.json and the tables of docs/benchmarks.md
	$(BIN)/python -m service.generated_docs
	$(BIN)/python -m eval.benchmark_page

lock: $(VENV)/.installed-dev ## resolve the lock files again; UPGRADE=--upgrade takes newer versions
	$(COMPILE) --output-file requirements.lock pyproject.toml
	$(call settle,requirements.lock)
	$(COMPILE) --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	$(call settle,requirements-dev.lock)

# The pins of torch's builds differ in what follows the plus sign, and no file may ask for one of them.
define settle
@{ printf '%s\n' '# Made by `make lock` on Python 3.11; do not edit.' '#' \
	'# No hashes: torch==$(TORCH) is another file for each kind of machine, and its CUDA build asks for packages' \
	'# of its own, which are not listed here; it pins them exactly.'; \
	sed -e '/^#/d' -e '/^$$/d' -e 's/^\(torch==[0-9.]*\)+[^ ]*/\1/' $(1); } > $(1).new && mv $(1).new $(1)
endef

clean: ## remove what was installed or built; data/ and the model cache stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

models: $(VENV)/.installed ## fetch and convert the configured weights, once
	$(BIN)/asknotes models --fetch

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo 'asknotes needs Python 3.11 or newer; name one: make PYTHON=python3.12' >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

# The packages are listed because an editable installation only knows those that were there when it was made.
$(VENV)/.installed: requirements.lock pyproject.toml $(wildcard */__init__.py) | $(BIN)/pip
	@echo 'Installing into $(VENV), a minute or two …'
	$(PIP) install -qq --requirement requirements.lock
	$(PIP) install -qq --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	$(PIP) install -qq --requirement requirements-dev.lock
	@touch $@
