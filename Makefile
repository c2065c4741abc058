# Two commands: `make serve` answers ECGs, `make test` proves the project. Each makes its own environment.
PYTHON ?= python3
SERVE := .venv-serve
DEV := .venv
PEERS := $(patsubst %,.venv-bench/%,litserve mlserver bentoml)
SOURCES := model training service tests docker

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve test check bench bench-gpu stress fuzz format keys clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

serve: $(SERVE)/.installed ## serve the bundled model on 127.0.0.1:8000 (ECG_HOST, ECG_PORT)
	$(SERVE)/bin/python -m service

test: check ## format, lint, types, import rules and every test
	$(DEV)/bin/python -m pytest

check: $(DEV)/.installed ## format, lint, types and import rules
	$(DEV)/bin/ruff format --check $(SOURCES)
	$(DEV)/bin/ruff check $(SOURCES)
	$(DEV)/bin/mypy
	$(DEV)/bin/mypy docker/keys.py
	$(DEV)/bin/lint-imports

bench: $(DEV)/.installed $(PEERS) ## measure beside LitServe, MLServer, BentoML (BENCH="--quick" for minutes); writes BENCHMARKS.md
	$(DEV)/bin/python -m tests.bench $(BENCH)

bench-gpu: $(DEV)/.installed ## measure the engine alone on an NVIDIA card, by bucket and beside torch (BENCH="--size base")
	$(DEV)/bin/python -m tests.bench.device $(BENCH)

stress: $(DEV)/.installed ## twenty reloads and restarts, ten times the load, 30,000 mixed ECGs; an hour
	$(DEV)/bin/python -m tests.stress.reloads
	$(DEV)/bin/python -m tests.stress.reloads --readers 2
	$(DEV)/bin/python -m tests.stress.restarts
	$(DEV)/bin/python -m tests.stress.restarts --readers 2
	$(DEV)/bin/python -m tests.stress.overload
	STRESS_ECGS=30000 $(DEV)/bin/python -m pytest tests/stress/test_mixed.py

fuzz: $(DEV)/.installed ## 100,000 bodies a decoder, guided by coverage, and thousands of requests by the OpenAPI description; minutes
	for decoder in wfdb zip json raw upload batch; do $(DEV)/bin/python -m tests.fuzz $$decoder -runs=100000 || exit 1; done
	SCHEMA_EXAMPLES=2000 $(DEV)/bin/python -m pytest tests/service/test_schema.py

format: $(DEV)/.installed ## rewrite the sources as `check` wants them
	$(DEV)/bin/ruff format $(SOURCES)
	$(DEV)/bin/ruff check --fix $(SOURCES)

keys: $(SERVE)/.installed ## secrets for docker-compose.yml: API keys and Grafana's password
	@$(SERVE)/bin/python docker/keys.py

clean: ## remove the environments and caches
	rm -rf $(SERVE) $(DEV) .venv-bench .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# An environment is whole or absent: the stamp is written last, and without it the next run starts over.
$(SERVE)/.installed: EXTRAS :=
$(DEV)/.installed: EXTRAS := [train,otel,dev]
$(SERVE)/.installed $(DEV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' || { \
	  echo "Python 3.11 to 3.14 is needed; $(PYTHON) says $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make environments. On Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	@echo "Making the environment $(@D); a minute or two, and longer with torch"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.$(EXTRAS)'
	@touch $@

# A peer that does not install here is said to be missing by the bench; the others are measured all the same.
.venv-bench/%: tests/bench/peers/%.txt tests/bench/peers/shared.txt
	@echo "Making the environment $@"
	@$(PYTHON) -m venv --clear $@
	@$@/bin/python -m pip install --quiet --disable-pip-version-check -r $< && touch $@/.installed || \
	  echo "$* does not install on this Python; it will not be measured"
