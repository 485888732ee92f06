.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/pytest --dist loadfile
# Where tests wait now and then for Redis, Terraform and each other's processes.
ONE_MORE_WORKER = $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

.PHONY: help setup demo up down status check test lint layer package wheel release bundle plan deploy destroy notebooks bench bench-scale chaos simulate docs pages lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  \033[1m%-11s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install the lnn command and what tests need into .venv
	@PYTHON="$(PYTHON)" scripts/setup.sh

demo: setup ## train handwritten digits on a local cloud, and see what to do next
	@scripts/demo.sh

up: setup ## start the local cloud (emulator and Redis) and deploy to it
	@$(BIN)/python -m lnn_tools.local_cloud up

down: setup ## stop the local cloud and forget what was in it
	@$(BIN)/python -m lnn_tools.local_cloud down

status: setup ## show what of the local cloud runs
	@$(BIN)/python -m lnn_tools.local_cloud status

check: setup ## style, types, imports and quick unit tests, in two minutes
	@scripts/lint.sh code
	@$(PYTEST) --numprocesses auto -m "not slow" tests/unit

test: setup ## run every test: unit, functional, Terraform, end to end, browser, chaos
	@$(PYTEST) --numprocesses auto tests/unit
	@$(PYTEST) --numprocesses $(ONE_MORE_WORKER) --no-loadscope-reorder tests/functional tests/terraform tests/docs tests/simulation
	@$(PYTEST) --numprocesses 3 --no-loadscope-reorder tests/e2e tests/browser tests/chaos

lint: setup ## check style, types, Terraform and shell scripts
	@scripts/lint.sh

layer: setup ## build the numpy/h5py layer for AWS (RUNTIME=python3.13 ARCH=arm64)
	@$(BIN)/python -m lnn_tools.packaging.layer $(if $(RUNTIME),--runtime $(RUNTIME)) $(if $(ARCH),--architecture $(ARCH))

package: setup ## build the functions' archives for AWS (RUNTIME=python3.13)
	@$(BIN)/python -m lnn_tools.packaging.functions $(if $(RUNTIME),--runtime $(RUNTIME))

wheel: setup ## build the wheel of the command and the Python package into dist/
	@scripts/wheel.sh

release: wheel ## publish the tagged commit on GitHub: its wheel and its part of CHANGELOG.md
	@$(BIN)/python -m lnn_tools.release

bundle: setup ## build the SageMaker notebook's code and wheels (RUNTIME=python3.13)
	@$(BIN)/python -m lnn_tools.packaging.notebook_bundle $(if $(RUNTIME),--runtime $(RUNTIME))

plan: setup ## show what a deployment to your AWS account would change
	@$(BIN)/python -m lnn_tools.aws_deployment check
	@$(MAKE) --no-print-directory layer package
	@$(BIN)/python -m lnn_tools.aws_deployment plan

deploy: setup ## deploy to your AWS account, after asking (OPTIONS=--yes)
	@$(BIN)/python -m lnn_tools.aws_deployment check
	@$(MAKE) --no-print-directory layer package
	@$(BIN)/python -m lnn_tools.aws_deployment deploy $(OPTIONS)

destroy: setup ## remove everything from your AWS account, after asking (OPTIONS=--yes)
	@$(BIN)/python -m lnn_tools.aws_deployment destroy $(OPTIONS)

notebooks: up ## run the notebooks on the local cloud; their pages go to build/notebooks
	@PYTHON="$(PYTHON)" scripts/setup.sh notebooks
	@.venv-notebooks/bin/python -m lnn_tools.docs.notebooks

bench: ## measure the strategies beside numpy, PyTorch and scikit-learn (OPTIONS=--quick)
	@PYTHON="$(PYTHON)" scripts/setup.sh bench
	@.venv-bench/bin/python benchmarks/against_pytorch.py
	@.venv-bench/bin/python benchmarks/run.py $(OPTIONS)

bench-scale: setup ## measure the exchange of 2 to 128 workers behind an emulated network
	@$(BIN)/python benchmarks/scale.py $(OPTIONS)

chaos: setup ## disturb trainings in every way and compare the bits (RUNS=200 SEED=1)
	@$(BIN)/python tests/chaos --runs $(or $(RUNS),200) --seed $(or $(SEED),1) $(if $(ROUNDS),--rounds $(ROUNDS))

simulate: setup ## simulate trainings under drawn faults, with the functions' own code (SEEDS=2000 FIRST=0)
	@$(BIN)/python tests/simulation --seeds $(or $(SEEDS),2000) --first $(or $(FIRST),0) --keep-going

docs: setup ## build the documentation's site into build/site
	@$(BIN)/python -m lnn_tools.docs.references
	@scripts/setup.sh docs
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet
	@echo "build/site/index.html"

pages: notebooks ## run the notebooks and keep what they show for the site (docs/notebooks)
	@.venv-notebooks/bin/python -m lnn_tools.docs.notebook_outputs

lock: ## pin the requirements again (needs uv)
	@scripts/lock.sh
