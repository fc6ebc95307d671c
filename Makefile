# Everything a newcomer needs: `make demo` and `make test`. Both install what is missing, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help demo test faults fuzz check lint types rooms bench constraints audit sbom tools proofs clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(STAMP): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

demo: $(STAMP) ## see it at work: an embedded broker, generated events, alerts; SECONDS=30 by default
	$(BIN)/sluice demo --seconds $(or $(SECONDS),30)

test: $(STAMP) check tools $(if $(filter true,$(CI)),audit proofs) ## style, types, rooms, and every test
	$(BIN)/python -m pytest

faults: $(STAMP) ## break everything that can break, for long; SEED=… ROUNDS=100
	$(BIN)/python -m pytest -s tests/integration/faults --long --seed $(or $(SEED),$$(date +%s)) --rounds $(or $(ROUNDS),100)

fuzz: $(STAMP) ## hostile input for long; SECONDS=600; guided by coverage where atheris is to be had
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r tests/fuzz/constraints.txt
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED))

check: $(STAMP) lint types rooms ## everything but the tests

lint: $(STAMP) ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## mypy --strict
	$(BIN)/mypy

rooms: $(STAMP) ## the rules between rooms
	$(BIN)/lint-imports

bench: $(STAMP) ## every figure of the README
	$(BIN)/python -m benchmarks

constraints: $(STAMP) ## resolve the versions anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes --no-emit-index-url \
		--no-annotate --no-header pyproject.toml --output-file constraints.txt --upgrade
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --no-header pyproject.toml --constraints constraints.txt --output-file deploy/requirements.txt

audit: $(STAMP) ## known weaknesses of what is shipped, where an advisory service can be reached
	@told=$$($(BIN)/pip-audit -r deploy/requirements.txt --require-hashes --disable-pip --progress-spinner off -s osv 2>&1); status=$$?; \
	if [ $$status != 0 ] && echo "$$told" | grep -qE "(Connection|Timeout|Resolution|Service|HTTP)Error"; then \
		echo "audit: no advisory service can be reached from here, nothing was audited"; \
	else echo "$$told"; exit $$status; fi

sbom: $(STAMP) ## the software bill of materials of what is shipped, CycloneDX: dist/sbom.cdx.json
	@mkdir -p dist
	@$(PYTHON) -m venv --clear .cache/shipped
	@.cache/shipped/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r deploy/requirements.txt
	@.cache/shipped/bin/python -m pip uninstall --quiet --yes pip setuptools 2>/dev/null || true
	$(BIN)/cyclonedx-py environment .cache/shipped --pyproject pyproject.toml --output-reproducible --output-file dist/sbom.cdx.json

tools: ## what some tests need beside Python (deploy/test-tools.txt): installed where it is missing, by root, on Debian
	@missing=$$(sed 's/#.*//' deploy/test-tools.txt | xargs -r -n1 sh -c 'dpkg -s "$$0" >/dev/null 2>&1 || echo "$$0"'); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	else echo "missing, tests that need them are skipped (except in CI):" $$missing; fi

PROOFS := .cache/proofs
PROVED_GO := github.com/aws/aws-sdk-go-v2/config github.com/aws/aws-sdk-go-v2/service/secretsmanager \
	github.com/cyberark/conjur-api-go/conjurapi github.com/hashicorp/vault/api
proofs: $(PROOFS)/.installed ## what the proofs of the playbooks run against: OpenBao, moto, clients, axe; 500 MB, by itself only in CI

$(PROOFS)/.installed: tests/web/proof/requirements.txt tests/web/proof/package.json tests/web/proof/package-lock.json tests/web/proof/go.sum
	@command -v npm >/dev/null || { echo "make proofs needs node and npm"; exit 1; }
	mkdir -p $(PROOFS)
	$(PYTHON) -m venv $(PROOFS)/python
	$(PROOFS)/python/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r tests/web/proof/requirements.txt
	cp tests/web/proof/package.json tests/web/proof/package-lock.json $(PROOFS)/
	cp tests/web/proof/go.mod tests/web/proof/go.sum $(PROOFS)/
	cd $(PROOFS) && npm ci --silent --no-audit --no-fund
	@if command -v go >/dev/null; then cd $(PROOFS) && go build $(PROVED_GO); \
	else echo "go is missing: the examples in Go are not run (except in CI, where that fails)"; fi
	@touch $@

clean: ## take away what was installed and cached
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
