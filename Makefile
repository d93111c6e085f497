# Everything a person or CI does with this repository. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# What is given as NAME=value is in the environment of the recipes: quoted there, it may hold blanks.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
# pip trusts the system's certificate authorities, a company's for example, and has settings for wheels on a local disk; uv
# wants to be told both.
UV_INSTALL = UV_SYSTEM_CERTS=$${UV_SYSTEM_CERTS:-1} $(UV) pip install --quiet --python $(VENV) $(addprefix --find-links ,$(PIP_FIND_LINKS))

.PHONY: help run train pipeline airflow dags mlflow bench test test-all check format kernel screenshots pictures clean

# Where `make pipeline` publishes and looks for corrections, and `make run` follows and keeps them.
STORES = DANDELION_MODELS=$${DANDELION_MODELS:-var/store/dandelion-models} DANDELION_DATA=$${DANDELION_DATA:-var/store/dandelion-data}

# Which product is trained: the name of its model, by the labels where it is not given.
NAMED = $(if $(PRODUCT),DANDELION_PRODUCT="$$PRODUCT")

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What failed has said why in one line, to which make would add another: it ends as by Ctrl-C, with a status of failure.
# The recipe outlives the signal: make waits for its child in the handler, and would complain if there were none.
# Where Ctrl-C is ignored, as in the background, make has its own line: a failure must not look like a success.
SAID_WHY = { case "$$(trap -p INT)" in *"''"*) exit 1;; esac; kill -INT $$PPID; sleep 1; }

run: $(VENV)/.serving ## Serve page and API on http://localhost:8000 (PORT=8001, BUNDLE=folder of another bundle)
	@$(STORES) DANDELION_MLFLOW=$${DANDELION_MLFLOW:-http://localhost:5000} PORT=$(PORT) \
		$(if $(BUNDLE),DANDELION_BUNDLE="$$BUNDLE") $(BIN)/python -m ui || $(SAID_WHY)

train: $(VENV)/.training ## Fetch the photos, train, evaluate, track and export a bundle to var/bundles (SOURCE=folder of your own photos, PRODUCT=its name, OTHER=no: none of other things)
	$(BIN)/python -m training fetch $(if $(SOURCE),--source "$$SOURCE") $(if $(OTHER),--other "$$OTHER")
	$(STORES) $(NAMED) $(BIN)/python -m training feedback apply
	$(BIN)/python -m training prepare
	$(BIN)/python -m training fit
	$(BIN)/python -m training evaluate
	$(NAMED) $(BIN)/python -m training track --optional
	$(NAMED) $(BIN)/python -m export build

pipeline: $(VENV)/.airflow ## Photos to a published model, once, through Airflow; a running `make run` picks it up (SOURCE=folder or URL, PRODUCT=name; PRODUCT alone: what that was taught from)
	deploy/local/pipeline.sh $(if $(SOURCE),"$$SOURCE")

airflow: $(VENV)/.airflow ## Airflow with the DAGs and its page on http://localhost:8080 (AIRFLOW_PORT=8081)
	deploy/local/airflow.sh

dags: $(VENV)/.airflow ## How long Airflow takes to read each DAG file
	deploy/local/dags.sh

mlflow: $(VENV)/.airflow ## The page of all training runs on http://localhost:5000 (MLFLOW_PORT=5001)
	deploy/local/mlflow.sh

bench: $(VENV)/.export ## Measure this host and compare with other servers, an hour; var/benchmarks/report.html (PRICE=of a core and hour)
	$(BIN)/python -m benchmarks latency
	$(BIN)/python -m benchmarks sessions
	$(BIN)/python -m benchmarks load --size 224 --overload 4
	$(BIN)/python -m benchmarks footprint
	-$(BIN)/python -m benchmarks page
	$(BIN)/python -m benchmarks peers --size 224
	$(BIN)/python -m benchmarks training
	$(BIN)/python -m benchmarks batch
	-$(BIN)/python -m benchmarks decode
	-$(BIN)/python -m benchmarks robustness --seconds 10
	$(BIN)/python -m benchmarks report $(if $(PRICE),--price $(PRICE))

# More workers than cores: tests wait for two fifths of their time, for servers and for time-outs. Where all run, one more
# has the others while one waits for containers and one for Airflow.
CORES := $(shell getconf _NPROCESSORS_ONLN)
PYTEST = $(BIN)/python -m pytest --dist loadscope --no-loadscope-reorder --durations 25

test: $(VENV)/.test ## Set up, and run in minutes the tests that need no container engine, scheduler, browser or training
	$(PYTEST) -n $$(($(CORES) + 2)) -m 'not (containers or scheduler or browser or training or compiler or emulated or thorough)'
	@echo 'make test-all adds images and the stack, Airflow and its pipelines, the page in Chromium, training, export,'
	@echo 'benchmarks, the compiled kernel, emulated processors, and longer repeats; it is what CI runs'

test-all: check ## Check, and run every test, as CI does
	THOROUGH=1 $(PYTEST) -n $$(($(CORES) + 1))

check: $(VENV)/.dev lint-deploy ## Lint, types, architecture, and all that is deployed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The version of the compiler is pinned in pyproject.toml: the same source gives the same bytes, which a test holds.
PREBUILT = runtime/native/prebuilt
KERNEL_SOURCES = $(sort $(wildcard runtime/native/kernel/*.c runtime/native/kernel/*/*.c))
KERNEL_TARGET = $*-linux-gnu.2.28 -mcpu=$(if $(filter x86_64,$*),x86_64,generic)
kernel: $(PREBUILT)/libdandelion_kernel-x86_64.so $(PREBUILT)/libdandelion_kernel-aarch64.so ## Compile runtime/native/kernel for x86-64 and ARM64 Linux; SHA256SUMS and SBOM beside it
	$(BIN)/python deploy/describe_kernel.py $^

$(PREBUILT)/libdandelion_kernel-%.so: $(KERNEL_SOURCES) $(wildcard runtime/native/kernel/*.h runtime/native/kernel/*/*.h) | $(VENV)/.dev
	$(BIN)/python -m ziglang cc -target $(KERNEL_TARGET) -std=c17 -O3 -Wall -Wextra -Werror -fno-sanitize=all \
		-ffp-contract=off -fvisibility=hidden -fPIC -shared -s $(KERNEL_FLAGS) -o $@ $(KERNEL_SOURCES) -lpthread -lm

screenshots: $(VENV)/.dev ## Take a picture of each page into var/screenshots (PHOTOS=folder of dandelion and grass)
	$(BIN)/python -m tests.ui.pictures.screenshots $(if $(PHOTOS),"$$PHOTOS")
	$(BIN)/python -m tests.ui.pictures.teaching

pictures: $(VENV)/.dev ## Take the pictures of README and docs/operations.md anew, of drawn photos, into tests/ui/pictures
	$(BIN)/python -m tests.ui.pictures.screenshots readme
	$(BIN)/python -m tests.ui.pictures.teaching readme

include deploy/targets.mk

clean: ## Remove the environment and caches (var/ stays)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

# Each set of dependencies is installed once, and again when pyproject.toml changes; the larger ones include what serving needs.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.12")'
	@$(PYTHON) deploy/local/check_host.py >/dev/null
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.serving: pyproject.toml | $(VENV)/bin/python
	@echo "The first time: installing what page and API need into $(VENV) (75 MB to fetch, 320 MB on disk, about two minutes)"
	@extras=$$($(BIN)/python deploy/local/check_host.py) && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable ".[$$extras]"
	@touch $@

$(VENV)/.export: EXTRA = benchmarks
$(VENV)/.training: EXTRA = benchmarks,tracking
$(VENV)/.airflow: EXTRA = airflow
$(VENV)/.test: EXTRA = test
$(VENV)/.dev: EXTRA = dev
$(VENV)/.export $(VENV)/.training $(VENV)/.airflow $(VENV)/.test $(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	@echo "installing what $(EXTRA) needs into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
	$(UV_INSTALL) --editable '.[ui,$(EXTRA)]'
	@touch $@ $(VENV)/.serving $(if $(filter dev,$(EXTRA)),$(VENV)/.test)
