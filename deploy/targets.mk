# Images, the offline kit, the stack and the cluster. The Makefile includes this file.
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
FLAVOUR ?= standard
IMAGE ?= dandelion:$(VERSION)$(if $(filter-out standard,$(FLAVOUR)),-$(FLAVOUR))
BASE_IMAGE ?= $(shell sed -n 's/^ARG BASE_IMAGE=//p' deploy/appliance/Dockerfile)
BASE_NAME = $(if $(filter auto,$(BASE_IMAGE)),$(shell deploy/base-image.sh),$(BASE_IMAGE))

.PHONY: image image-test image-size images lock offline-kit env compose-check minikube-deploy minikube-smoke lint-deploy

image: ## Build the appliance image (FLAVOUR=native: without onnxruntime; BASE_IMAGE=your own, or auto where no registry is reachable)
	IMAGE=$(IMAGE) FLAVOUR=$(FLAVOUR) deploy/image.sh appliance
	@echo "next: make image-test, make image-size$(if $(filter-out standard,$(FLAVOUR)), with FLAVOUR=$(FLAVOUR))"

image-test: ## Run it with no network, read-only, in 256 MB on one CPU: a photo (PHOTO=file LABEL=label), then the largest
	$(PYTHON) deploy/image_test.py $(IMAGE) $(if $(PHOTO),--photo $(PHOTO)) $(if $(LABEL),--label $(LABEL))

# What an image may add to its base, in MB, unpacked and compressed.
LIMITS = $(if $(filter native,$(FLAVOUR)),--most-mb 140 --most-compressed-mb 60)

image-size: ## Print what the image adds to its base, unpacked and compressed; fail above the limits
	$(PYTHON) deploy/image_size.py $(IMAGE) $(BASE_NAME) $(LIMITS)

images: image ## Build the images of MLflow and Airflow, too (WHEELS=folder with CPU wheels of torch)
	deploy/image.sh mlflow
	WHEELS=$(WHEELS) deploy/image.sh airflow

lock: $(VENV)/.dev ## Resolve what goes into the images anew: deploy/*/requirements.lock
	deploy/lock.sh $(UV)

offline-kit: ## Write var/kit/dandelion-VERSION-ARCH.kit.tar: image, installer, guide (KEY=ssh private key signs it)
	IMAGE=$(IMAGE) deploy/kit/pack.sh

env: ## Generate every secret of the stack into .env; never overwrites one
	deploy/env.sh

compose-check: $(VENV)/.dev ## Check compose.yaml against its schema, its variables against .env.example
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	$(BIN)/python -m pytest -q tests/deploy/compose/test_compose.py

minikube-deploy: ## Build or load the images into Minikube and deploy everything there
	deploy/minikube.sh deploy

minikube-smoke: ## Ask the deployed API for a photo
	deploy/minikube.sh smoke

lint-deploy: $(VENV)/.dev ## Lint Dockerfiles, shell, compose, workflows and every Kubernetes object (part of `make check`)
	deploy/lint.sh $(BIN)
