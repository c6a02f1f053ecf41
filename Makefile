# CodexFlow: `make` lists what can be done.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
on = $(filter-out 0 no No NO false False FALSE off Off OFF,$(1))

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  \033[1m%-18s\033[0m %s\n", $$1, $$2}'

# ---- environments -------------------------------------------------------------------------------------------------
.venv/.uv: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "CodexFlow needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $@

# The stack's environment is a subset of the developer's: once that is there, it serves both.
.venv/.stack: .venv/.uv requirements/stack.txt pyproject.toml
	@echo "Installing what the stack needs (hash-locked) …"
	@test -e .venv/.dev || $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/stack.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: .venv/.uv requirements/dev.txt pyproject.toml
	@echo "Installing the developer environment (hash-locked) …"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@ .venv/.stack

.venv-litellm/.ready: .venv/.uv requirements/litellm.txt
	@echo "Installing the LiteLLM proxy into an environment of its own (hash-locked) …"
	@$(PYTHON) -m venv .venv-litellm
	@$(BIN)/uv pip install --quiet --python .venv-litellm/bin/python --require-hashes -r requirements/litellm.txt
	@touch $@

.venv-checkov/.ready: .venv/.uv requirements/checkov.txt
	@$(PYTHON) -m venv .venv-checkov
	@$(BIN)/uv pip install --quiet --python .venv-checkov/bin/python --require-hashes -r requirements/checkov.txt
	@touch $@

# The OpenID provider of the sign-in tests; without Node.js they are skipped, and say so.
tests/oidc/node_modules/.ready: tests/oidc/package.json tests/oidc/package-lock.json tests/oidc/.npmrc
	@if command -v node >/dev/null && command -v npm >/dev/null; then \
	  echo "Installing the OpenID provider of the tests (hash-locked) …" && \
	  (cd tests/oidc && npm ci --loglevel=error) && touch $@; \
	else echo "There is no Node.js here: the tests of the sign-in by OpenID will be skipped."; fi

install: .venv/.dev ## the developer environment

lock: .venv/.uv ## renew the hashed requirement files (UPGRADE=1: all versions)
	@requirements/lock.sh $(if $(call on,$(UPGRADE)),--upgrade)

# ---- the stack ----------------------------------------------------------------------------------------------------
up: .venv/.stack $(if $(call on,$(LITELLM)),.venv-litellm/.ready) ## start everything here (DETACH=1, GATEWAYS=4, LITELLM=1, OPENAI_API_KEY=…)
	@GATEWAYS="$(GATEWAYS)" LITELLM="$(LITELLM)" $(BIN)/python -m devstack up $(if $(call on,$(DETACH)),--detach)

down: .venv/.stack ## stop it
	@$(BIN)/python -m devstack down

status: .venv/.stack ## what runs, and is it ready
	@$(BIN)/python -m devstack status

logs: .venv/.stack ## the end of a log (SERVICE=gateway, FOLLOW=1)
	@$(BIN)/python -m devstack logs $(SERVICE) $(if $(call on,$(FOLLOW)),--follow)

reset: .venv/.stack ## delete the stack's data
	@$(BIN)/python -m devstack reset

migrate: .venv/.stack ## both schemas to the newest revision (ACCOUNTS_OWNER_DATABASE_URL, ACCOUNTS_DATABASE_URL, USAGE_DATABASE_URL, …; `up` does it for its own)
	$(BIN)/python -m accounts migrate
	$(BIN)/python -m usage migrate

# ---- checks -------------------------------------------------------------------------------------------------------
lint: .venv/.dev ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/.dev ## ruff, mending
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: .venv/.dev ## mypy, strict
	$(BIN)/mypy

contracts: .venv/.dev ## the rooms and the services keep apart
	$(BIN)/lint-imports

test: .venv/.dev tests/oidc/node_modules/.ready ## the whole suite against real servers it starts itself (TEST_SERVERS=auto|docker|embedded)
	$(BIN)/pytest -m "not litellm" $(ARGS)

e2e: .venv/.dev ## the end-to-end tests alone: the whole stack as its users meet it
	$(BIN)/pytest tests/e2e -m "not litellm" $(ARGS)

prove-law: .venv/.dev ## kill -9 of everything under load, then provider and ledger compared (SECONDS=300 SEED=7 RATE=40)
	LAW_SECONDS=$(SECONDS) LAW_SEED=$(SEED) LAW_RATE=$(RATE) $(BIN)/pytest tests/faults -m faults $(ARGS)

prove-budgets: .venv/.dev ## 500 clients at nearly empty budgets, four gateways, kill -9 in the middle: never beyond the bound (ROUNDS=200 SEED=7)
	BUDGET_ROUNDS=$(or $(ROUNDS),200) BUDGET_SEED=$(SEED) $(BIN)/pytest tests/budgets -m budgets $(ARGS)

prove-utilization: .venv/.dev ## four gateways: how much of a budget is spent before anything is refused; 600 KB prompts on $25; some minutes
	BUDGET_FULL=1 $(BIN)/pytest tests/budgets/test_utilization.py -m budgets $(ARGS)

test-litellm: .venv/.dev .venv-litellm/.ready ## the path through a real LiteLLM proxy
	$(BIN)/pytest -m litellm $(ARGS)

manifests: .venv-checkov/.ready ## checkov over the rendered Kubernetes base and the Dockerfiles
	@mkdir -p build
	kubectl kustomize deploy/k8s/base > build/manifests.yaml
	.venv-checkov/bin/checkov --config-file deploy/checkov.yaml -f build/manifests.yaml -f Dockerfile -f deploy/litellm/Dockerfile

images: ## the container images (SERVICE=gateway: that one alone; ARGS= for docker build)
	@for service in $(or $(SERVICE),gateway accounts usage); do \
	  docker build --build-arg SERVICE=$$service --build-arg REVISION=$$(git rev-parse --short HEAD) --tag codexflow-$$service $(ARGS) . || exit 1; \
	done

events: .venv/.dev ## the generated documents: docs/events.md, docs/asyncapi.json, docs/openapi/, docs/ROLES.md
	$(BIN)/python -m common.contracts.document docs
	$(BIN)/python -m devstack.openapi docs/openapi
	$(BIN)/python -m devstack.roles_page docs

bench: .venv/.dev .venv-litellm/.ready ## our gateway beside nginx, LiteLLM and Portkey, in one run (ARGS="--quick")
	$(BIN)/python -m bench.run $(ARGS)

measure-revocation: .venv/.dev ## from a revocation to the last gateway's 401; NATS killed; cold starts (KEYS=100000 REVOCATIONS=200)
	$(BIN)/python -m bench.keys.revocation --keys $(or $(KEYS),100000) --revocations $(or $(REVOCATIONS),200) $(ARGS)

measure-directory: .venv/.dev ## what a large key directory costs: memory, loading, publishing (KEYS=1000000)
	$(BIN)/python -m bench.keys.directory --keys $(or $(KEYS),1000000) $(ARGS)

timing-keys: .venv/.dev ## does the time of a 401 tell why? (ARGS="--questions 20000 --bound 5")
	$(BIN)/python -m bench.keys.timing $(ARGS)

measure-leases: .venv/.dev ## limits per minute by leases, or counted in a store: what each costs the gateway
	$(BIN)/python -m bench.leases

check: lint types contracts test ## what CI runs

.PHONY: help install lock up down status logs reset migrate lint format types contracts test e2e prove-law prove-budgets prove-utilization \
  test-litellm manifests images events bench measure-revocation measure-directory \
  timing-keys measure-leases check
