# `make run` and `make test` work from a fresh clone with nothing but Python 3.11+ and make.
PYTHON ?= python3
PY := .venv/bin/python
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
EDITABLE := --no-deps --no-build-isolation --editable .
LOCK := --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url
EXTRAS := certificate reports notebook prompt prometheus postgres lake docs release
UV ?= uv

.PHONY: run test test-all test-one-by-one test-orchestrators test-destinations test-browser chaos setup lint lint-text costs crashes endurance test-workers test-dagster test-airflow test-lowest test-clients test-variants chaos-in-ci
.PHONY: bench fuzz mutants views docs site pictures wheel check-wheel upgrade-fixtures sbom audit lock lock-dagster lock-airflow lock-extras clean test-s3

# ---- use

run: .venv/.core
	$(PY) -m m365_jobs demo

setup: .venv/.setup

# ---- test

FORKING := tests/chaos/test_repeated_files.py

# pytest keeps modules with rewritten assertions only where Python writes bytecode; each process of xdist rewrites all.
test test-all test-destinations test-variants test-browser chaos chaos-in-ci: export PYTHONDONTWRITEBYTECODE :=

test: .venv/.tested lint
	$(PY) -m pytest -n 3 --dist worksteal -m 'not variant and not destinations' tests/unit tests/integration
	@echo "Not run: make test-destinations, tests/browser, tests/chaos, tests/orchestrators (make test-all runs them); make test-variants."

# PostgreSQL, a lake on this machine, and copies to them.
test-destinations: .venv/.tested
	$(PY) -m pytest -n 3 --dist worksteal -m 'destinations and not variant' tests/integration

# Further cases of the same kinds, and tests of several destinations on Delta and Iceberg lakes.
test-variants: .venv/.tested
	$(PY) -m pytest -n 3 --dist worksteal -m variant tests/unit tests/integration

# With -j2, the orchestrators are installed and tested beside the rest: they keep a processor free for half of their time.
test-all: test .venv-dagster/.installed .venv-airflow/.installed
	$(MAKE) test-one-by-one test-orchestrators
	$(MAKE) check-wheel
	@echo "Not run: the rest of make chaos; make test-variants, test-s3, test-workers, test-lowest, test-clients, crashes, endurance, fuzz, mutants, costs, bench."

# They share PostgreSQL and the ports of browsers, and each uses both processors.
test-one-by-one:
	$(MAKE) test-destinations
	$(MAKE) test-browser
	$(MAKE) chaos-in-ci

test-orchestrators:
	$(MAKE) test-dagster
	$(MAKE) test-airflow

test-browser: .venv/.tested
	$(PY) -m pytest -n 2 --dist worksteal tests/browser

# Tests that fork come last, in processes of their own: deltalake works in no fork of a process that used it.
chaos: .venv/.tested
	$(PY) -m pytest -n 2 --dist worksteal tests/chaos --ignore $(FORKING)
	$(PY) -m pytest -n 2 --dist worksteal $(FORKING)

# What is short and the same each time; every eighth variation of a server is.
LONG_CHAOS := concurrency crashes crashes_elsewhere fault_matrix histories lake_files network_namespaces partitions workers

chaos-in-ci: .venv/.tested
	M365_JOBS_VARIATIONS_EVERY=8 $(PY) -m pytest -n 3 --dist worksteal -m 'not variant' tests/chaos \
	  $(LONG_CHAOS:%=--ignore tests/chaos/test_%.py)

# Dagster and what it needs of versions lives in an environment of its own.
test-dagster: .venv-dagster/.installed
	.venv-dagster/bin/python -m pytest tests/orchestrators/dagster

# So does Airflow.
test-airflow: .venv-airflow/.installed
	.venv-airflow/bin/python -m pytest tests/orchestrators/airflow

# A lake on S3 whose storage answers 503. s3fs brings an older dateutil, so it has an environment of its own.
test-s3: .venv-s3/.installed
	.venv-s3/bin/python -m pytest -s tests/s3

# The lowest versions that pyproject.toml allows. What is shipped rendered was made with the locked sqlglot.
test-lowest: .venv/bin/python
	$(PYTHON) -m venv .venv-lowest
	$(UV) pip compile pyproject.toml --extra build --extra test --extra certificate --extra prompt --extra prometheus --extra postgres --extra release \
	  --python-version 3.11 --resolution lowest-direct --no-annotate --no-header --no-emit-index-url --output-file .venv-lowest/lowest.txt
	.venv-lowest/bin/python $(PIP_INSTALL) --requirement .venv-lowest/lowest.txt
	.venv-lowest/bin/python $(PIP_INSTALL) $(EDITABLE)
	.venv-lowest/bin/python -m pytest -n 2 tests/unit tests/integration/avepoint_m365 \
	  --ignore-glob='*/test_shipped_*.py'

# Other programs read a DuckDB file and a lake, each client in an environment of its own.
test-clients: .venv/.tested
	$(PY) -m tests.support.check_clients

lint: .venv/.tested
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m codespell_lib README.md CONTRIBUTING.md docs sources pipelines benchmarks tests
	$(PY) -m mypy

crashes: .venv/.tested
	M365_JOBS_KILL_EVERY=1 M365_JOBS_LAKE_LOADS=60 $(PY) -m pytest -s tests/chaos/test_crashes.py \
	  tests/chaos/test_crashes_elsewhere.py tests/chaos/test_lake_files.py

test-workers: .venv/.tested
	$(PY) benchmarks/workers.py

# Outside CI: some thousand mutants, each with the unit tests that reach it; MUTANTS='*plausible*' for some of them.
# mutmut finds packages in src/ only, so it works on a copy.
mutants: .venv/.tested
	$(PY) $(PIP_INSTALL) 'mutmut==3.8.1'
	mkdir -p .mutants/src
	cp -R sources/. .mutants/src
	cp -R tests pyproject.toml .mutants
	cd .mutants && HYPOTHESIS_PROFILE=mutants ../$(PY) -m mutmut run $(MUTANTS)
	cd .mutants && ../$(PY) -m mutmut results

# Outside CI: atheris has wheels for Linux alone. FOLDER keeps inputs that reach new code, and cases that failed.
fuzz: .venv/.tested
	$(PY) $(PIP_INSTALL) 'atheris==3.0.0'
	$(PY) benchmarks/fuzz.py $(SECONDS:%=--seconds %) $(FOLDER:%=--folder %)

# A simulated year of hourly loads takes many hours; DAYS=30 TENANTS=2 DESTINATION=postgres for less.
endurance: .venv/.tested
	$(PY) benchmarks/endurance.py $(DAYS:%=--days %) $(TENANTS:%=--tenants %) $(DESTINATION:%=--destination %)

costs: .venv/.tested
	$(PY) benchmarks/costs.py

# M365_BASELINE names a checkout to compare with; see benchmarks/targets.py. PARTS='growth start' measures these parts only.
bench: .venv/.tested
	$(PY) -m benchmarks.targets
	$(PY) -m benchmarks.run $(PARTS)

# ---- documents

# The views and queries that are shipped rendered, for DuckDB and PostgreSQL.
views: .venv/.tested
	$(PY) -c 'from m365_jobs.marts import shipped; shipped.write_views()'
	$(PY) -m m365_jobs.health.watch_queries

docs: .venv/.tested
	$(PY) -m m365_jobs.marts.docs docs/warehouse.md
	$(PY) -m tests.support.reference docs/reference

# The documentation site in ./site: no address outside it is needed to read it.
site: docs
	$(PY) -m mkdocs build --quiet --strict

# Those of the README; to be looked at before they are kept.
pictures: .venv/.tested
	$(PY) -m tests.browser.pictures

# What this version leaves on a machine, for the tests of later ones; once for each release.
upgrade-fixtures: .venv/.tested
	$(PY) -m tests.support.upgrades

# ---- release

wheel: .venv/.tested
	rm -rf dist
	$(PY) -m hatchling build --target sdist --target wheel

# The wheel alone, in a clean environment with the locked versions.
check-wheel: wheel
	$(PY) -m tests.support.check_wheel

# What a wheel of this version installs and what it is built with, as CycloneDX.
sbom: .venv/.tested
	mkdir -p dist
	$(PY) -m cyclonedx_py requirements requirements-core.lock --pyproject pyproject.toml --output-file dist/sbom.cdx.json

# Advisories about pinned versions, from the registry. A package that the service does not know is a failure.
audit:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python $(PIP_INSTALL) 'pip-audit==2.10.1'
	for lock in requirements*.lock; do \
	  .venv-audit/bin/python -m pip_audit --strict --disable-pip --require-hashes --requirement $$lock || exit 1; done

# ---- environments

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || \
	  { echo "Python's venv module is needed (on Debian: apt-get install python3-venv)"; exit 1; }
	@echo "Creating .venv."
	@$(PYTHON) -m venv .venv

.venv/.core: .venv/bin/python pyproject.toml requirements-core.lock
	@echo "Installing the locked packages of requirements-core.lock into .venv (about 310 MB)."
	@$(PY) $(PIP_INSTALL) --require-hashes --requirement requirements-core.lock
	@$(PY) $(PIP_INSTALL) $(EDITABLE)
	@touch $@

.venv/.setup: .venv/bin/python pyproject.toml requirements.lock
	@echo "Installing the locked packages of requirements.lock into .venv (every extra but the orchestrators)."
	@$(PY) $(PIP_INSTALL) --require-hashes --requirement requirements.lock
	@$(PY) $(PIP_INSTALL) $(EDITABLE)
	@touch $@ .venv/.core

.venv/.tested: .venv/.setup
	@touch $@

.venv-dagster/.installed: .venv/bin/python pyproject.toml requirements-dagster.lock
	$(PYTHON) -m venv .venv-dagster
	.venv-dagster/bin/python $(PIP_INSTALL) --require-hashes --requirement requirements-dagster.lock
	.venv-dagster/bin/python $(PIP_INSTALL) $(EDITABLE)
	@touch $@

# Of the same version as fsspec in the lock.
.venv-s3/.installed: .venv/bin/python pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv-s3
	.venv-s3/bin/python $(PIP_INSTALL) --require-hashes --requirement requirements.lock
	.venv-s3/bin/python $(PIP_INSTALL) 's3fs==2026.9.0'
	.venv-s3/bin/python $(PIP_INSTALL) $(EDITABLE)
	@touch $@

# pip 23 does not apply the pin of "package" to "package[extra]" and refuses that as unpinned.
.venv-airflow/.installed: .venv/bin/python pyproject.toml requirements-airflow.lock
	$(PYTHON) -m venv .venv-airflow
	.venv-airflow/bin/python $(PIP_INSTALL) --upgrade 'pip>=25'
	.venv-airflow/bin/python $(PIP_INSTALL) --require-hashes --requirement requirements-airflow.lock
	.venv-airflow/bin/python $(PIP_INSTALL) $(EDITABLE)
	@touch $@

# ---- lock files: the pins that still fit are kept; wants uv (pip install uv)

lock:
	$(UV) pip compile pyproject.toml --extra build --extra test $(EXTRAS:%=--extra %) $(LOCK) --output-file requirements.lock
	$(MAKE) lock-extras lock-dagster lock-airflow
	@! grep -l 'index-url\|extra-index' requirements*.lock

lock-extras:
	$(UV) pip compile pyproject.toml --extra build --constraint requirements.lock $(LOCK) --output-file requirements-core.lock
	for extra in certificate reports notebook postgres lake; do \
	  $(UV) pip compile pyproject.toml --extra build --extra $$extra --constraint requirements.lock $(LOCK) \
	    --output-file requirements-$$extra.lock || exit 1; done

# The orchestrators are not in requirements.lock: they bring versions of their own.
lock-dagster:
	$(UV) pip compile pyproject.toml --extra build --extra test --extra certificate --extra postgres --extra dagster $(LOCK) \
	  --constraint requirements-postgres.lock --output-file requirements-dagster.lock

lock-airflow:
	$(UV) pip compile pyproject.toml --extra build --extra test --extra certificate --extra postgres --extra airflow $(LOCK) \
	  --constraint requirements-postgres.lock --output-file requirements-airflow.lock

clean:
	rm -rf .fuzz .mutants .venv .venv-* .pytest_cache .mypy_cache .ruff_cache .hypothesis dist site
