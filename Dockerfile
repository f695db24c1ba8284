# docker build --tag m365-jobs .
# docker run --rm --read-only --tmpfs /tmp --volume m365-jobs:/data --env-file m365-jobs.env m365-jobs load
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
WORKDIR /source
COPY requirements-core.lock requirements-certificate.lock requirements-postgres.lock requirements-lake.lock requirements-reports.lock ./
# Only what the lock files have a hash of gets in.
RUN for lock in core certificate postgres lake reports; do \
      pip download --quiet --no-cache-dir --require-hashes --requirement requirements-$lock.lock --dest /wheels || exit 1; \
    done
RUN pip install --quiet --no-index --find-links /wheels hatchling hatch-fancy-pypi-readme
COPY pyproject.toml README.md LICENSE ./
COPY sources sources
COPY pipelines pipelines
RUN pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels . \
 && python -m venv /app \
 && /app/bin/pip install --quiet --no-index --find-links /wheels "avepoint-m365-jobs[certificate,postgres,lake,reports]"

FROM python:${PYTHON}-slim
COPY --from=build /app /app
# A PDF needs Pango and a font.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libpango-1.0-0 libpangoft2-1.0-0 fonts-dejavu-core \
 && rm -rf /var/lib/apt/lists/* \
 && install --directory --owner=10001 --group=10001 /data
# The root file system may be read-only: /data (cursors, and the warehouse where it is DuckDB) and /tmp are written to.
ENV PATH=/app/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/data \
    TMPDIR=/tmp \
    DLT_DATA_DIR=/data/state
USER 10001:10001
WORKDIR /data
VOLUME /data
# A load ends by itself and says with its exit code how: there is nothing to ask while it runs.
HEALTHCHECK NONE
ENTRYPOINT ["m365-jobs"]
CMD ["load"]
