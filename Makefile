# Two commands for a newcomer: `make demo` and `make test`. Everything else is in `make help`.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Each commit of a database waits for the disk; those of tests are made in memory, where 4 GB of it are free.
SCRATCH = $(shell test "$$(df -m --output=avail /dev/shm 2>/dev/null | tail -1)" -gt 4096 2>/dev/null && \
    echo /dev/shm || dirname "$$(mktemp -u)")

.PHONY: help install demo serve test lint simulate cases emulators emulators-demo count-ops bench-events bench-ingest bench-browse bench-list bench-serving examples screenshots policy-scan lock clean

help:                ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 18

install: $(STAMP)    ## the virtual environment, from the hashed lock

$(STAMP): infra/requirements.lock pyproject.toml $(wildcard shared/variants/kernels/*.c) infra/assets/package-lock.json infra/assets/build.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is " + sys.version)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r infra/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python shared/variants/kernels/build.py || true
	@$(BIN)/python infra/assets/build.py
	@touch $@

demo: $(STAMP)       ## one analysis end to end on a stack of its own; VCF=FILE runs it on a file of yours
	@IFLOW_PORT=0 $(BIN)/python -m infra.local demo $(if $(VCF),--vcf "$(VCF)")

serve: $(STAMP)      ## the same stack, until Ctrl-C: API on 127.0.0.1:8000, state in .iflow/
	@$(BIN)/python -m infra.local serve

test: $(STAMP)       ## every test; IFLOW_TEST_EXAMPLES=1 tries all examples of the universal rules, and not a quarter
	@there=$$(mktemp -d -p $(SCRATCH)) && trap 'rm -rf "$$there"' EXIT && \
	    PYTHONDONTWRITEBYTECODE= TMPDIR=$$there $(BIN)/python -m pytest -n $(shell nproc) --dist worksteal

lint: $(STAMP)       ## style, types, and which room may import which
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

simulate: $(STAMP)   ## the simulation over SEEDS=FIRST-LAST (default 0-1999)
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),0-1999)

cases: $(STAMP)      ## every id of ../shared/CASES.md with the tests that cite it, and those that none cites
	$(BIN)/python -m tests.cases

emulators: $(STAMP)  ## the product on Google's own emulators, a process for each function, until Ctrl-C
	@$(BIN)/python -m infra.local serve --backend emulators

emulators-demo: $(STAMP) ## the demo on the emulators
	@IFLOW_PORT=0 $(BIN)/python -m infra.local demo --backend emulators $(if $(VCF),--vcf "$(VCF)")

count-ops: $(STAMP)    ## reads and writes of one analysis on the emulators: build/bench/ops.json
	$(BIN)/python -m tests.bench.ops

bench-events: $(STAMP) ## analyses a second, and how late a state change is seen: build/bench/events.json
	$(BIN)/python -m tests.bench.events

bench-ingest: $(STAMP) ## VCFs to tables beside htslib and others, over a million records: build/bench/ingest.json
	$(BIN)/python -m tests.bench.ingest

bench-browse: $(STAMP) ## pages of 5 million variants for one reader and for twenty, beside SQLite: build/bench/browse.json
	$(BIN)/python -m tests.bench.browse

bench-list: $(STAMP) ## pages of a list of 10,000 analyses under any filter and sort: build/bench/list.json
	$(BIN)/python -m tests.bench.list

bench-serving: $(STAMP) ## 20 GB by the API, and 100 readers of live streams: build/bench/serving.json
	$(BIN)/python -m tests.bench.serving

examples: $(STAMP)   ## each call of the API once, with its answer: services/miner/examples.json
	$(BIN)/python -m tests.flow.record_examples

screenshots: $(STAMP) ## every page at 1440 and 390 px, light and dark: build/screenshots
	$(BIN)/python -m tests.pages.every_page build/screenshots

policy-scan: $(STAMP) ## checkov over the Terraform and its plan, from an environment of its own
	mkdir -p build
	test -x build/scan/bin/checkov || { $(PYTHON) -m venv build/scan && \
	    build/scan/bin/pip install --quiet --require-hashes -r infra/terraform/policy-scan.lock; }
	$(BIN)/python -m tests.unit.terraform build/terraform-plan.json
	build/scan/bin/checkov -f build/terraform-plan.json --repo-root-for-plan-enrichment infra/terraform \
	    --compact --quiet --skip-download
	build/scan/bin/checkov -d infra/terraform --framework terraform dockerfile secrets --compact --quiet --skip-download

lock:                ## make the lock anew: names, versions and hashes, no address
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
	    --extra dev --python-version 3.11 pyproject.toml -o infra/requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
	    --constraint infra/requirements.lock --python-version 3.11 pyproject.toml -o infra/production.lock
	@! grep -nE 'https?://' infra/requirements.lock infra/production.lock

clean:               ## what was built, not what was stored
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
