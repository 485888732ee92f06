.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  \033[1m%-9s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install the lnn command and what tests need into .venv
	@PYTHON="$(PYTHON)" scripts/setup.sh

lock: ## pin the requirements again (needs uv)
	@scripts/lock.sh
