# `make run` and `make test` work from a fresh clone with nothing but Python 3.11+ and make.
PYTHON ?= python3
PY := .venv/bin/python

.PHONY: run test costs crashes test-workers test-dagster test-airflow lint setup bench docs pictures lock lock-dagster lock-airflow clean

run: .venv/.installed
	$(PY) -m m365_jobs demo

test: .venv/.tested lint
	$(PY) -m pytest -n 2 --dist worksteal

# Dagster and what it needs of versions lives in an environment of its own.
test-dagster: .venv-dagster/.installed
	.venv-dagster/bin/python -m pytest tests/orchestrators/dagster

# So does Airflow.
test-airflow: .venv-airflow/.installed
	.venv-airflow/bin/python -m pytest tests/orchestrators/airflow

lint: .venv/.tested
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy


crashes: .venv/.tested
	M365_JOBS_KILL_EVERY=1 $(PY) -m pytest tests/chaos/test_crashes.py

test-workers: .venv/.tested
	$(PY) benchmarks/workers.py

costs: .venv/.tested
	$(PY) benchmarks/costs.py

bench: .venv/.tested
	$(PY) benchmarks/run.py

docs: .venv/.tested
	$(PY) -m m365_jobs.marts.docs docs/warehouse.md

# Those of the README; to be looked at before they are kept.
pictures: .venv/.tested
	$(PY) -m tests.browser.pictures

setup: .venv/.tested

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || \
	  { echo "Python's venv module is needed (on Debian: apt-get install python3-venv)"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.installed: .venv/bin/python pyproject.toml requirements.lock
	$(PY) -m pip install --quiet --require-hashes --requirement requirements.lock
	$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.tested: .venv/.installed
	@touch $@

.venv-dagster/.installed: .venv/bin/python pyproject.toml requirements-dagster.lock
	$(PYTHON) -m venv .venv-dagster
	.venv-dagster/bin/python -m pip install --quiet --require-hashes --requirement requirements-dagster.lock
	.venv-dagster/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv-airflow/.installed: .venv/bin/python pyproject.toml requirements-airflow.lock
	$(PYTHON) -m venv .venv-airflow
	.venv-airflow/bin/python -m pip install --quiet --require-hashes --requirement requirements-airflow.lock
	.venv-airflow/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Keeps the pins that still fit; wants uv. The orchestrators are not in it: they bring versions of their own.
lock:
	uv pip compile pyproject.toml --extra build --extra test --extra postgres --extra lake --universal \
	  --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --output-file requirements.lock

lock-dagster:
	uv pip compile pyproject.toml --extra build --extra test --extra postgres --extra dagster --universal \
	  --python-version 3.11 --constraint requirements.lock --generate-hashes --no-annotate --no-header \
	  --no-emit-index-url --output-file requirements-dagster.lock

lock-airflow:
	uv pip compile pyproject.toml --extra build --extra test --extra postgres --extra airflow --universal \
	  --python-version 3.11 --constraint requirements.lock --generate-hashes --no-annotate --no-header \
	  --no-emit-index-url --output-file requirements-airflow.lock

clean:
	rm -rf .venv .venv-dagster .venv-airflow .pytest_cache .mypy_cache .ruff_cache .hypothesis
