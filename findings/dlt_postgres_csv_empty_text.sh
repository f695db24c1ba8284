#!/usr/bin/env bash
# Show that empty texts become null when dlt copies rows to PostgreSQL as CSV.
#
# Versions: dlt 1.31.0, psycopg2-binary 2.9.13, pyarrow 26.0.1, pgserver 0.1.4 (PostgreSQL 16)
# Behaviour: With loader_file_format="csv", empty texts of nullable columns arrive as null. With "insert_values", the
#   same rows arrive unchanged. The CSV file is correct: it has "" for an empty text and nothing for null.
# Expected: In CSV, PostgreSQL distinguishes a quoted empty text from an unquoted one. So both formats should load the
#   same values. But dlt's COPY sets FORCE_NULL for all nullable columns, which removes that difference.
# Why it matters: CSV is the fast way to PostgreSQL. If an API sends "" for an error without a link, the warehouse no
#   longer distinguishes an empty from a missing link. Comparisons with the source then find changed rows.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
# The server runs as a user of its own if the script runs as root.
chmod 755 "$folder"
export DLT_DATA_DIR="$folder/dlt" RUNTIME__DLTHUB_TELEMETRY=false
python3 -m venv venv
venv/bin/pip install -qq 'dlt[postgres]==1.31.0' 'psycopg2-binary==2.9.13' 'pyarrow==26.0.1' 'pgserver==0.1.4'
venv/bin/python - <<'PY'
from urllib.parse import parse_qs, quote, urlsplit

import dlt, pgserver, psycopg2, pyarrow as pa

rows = pa.table({"id": [1, 2, 3], "link": pa.array(["", None, "https://support.example"])})
server = pgserver.get_server("data")
try:
    # The server listens at a socket in its folder, which dlt takes as a host.
    socket = parse_qs(urlsplit(server.get_uri()).query)["host"][0]
    credentials = f"postgresql://postgres:any@localhost/postgres?host={quote(socket, safe='')}"
    loaded = {}
    for file_format in ("insert_values", "csv"):
        pipeline = dlt.pipeline(
            file_format, destination=dlt.destinations.postgres(credentials), dataset_name=file_format
        )
        pipeline.run(rows, table_name="errors", loader_file_format=file_format)
        with psycopg2.connect(server.get_uri()) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT id, link FROM {file_format}.errors ORDER BY id")
            loaded[file_format] = cursor.fetchall()
        print(file_format, loaded[file_format])
finally:
    server.cleanup()
expected = {
    "insert_values": [(1, ""), (2, None), (3, "https://support.example")],
    "csv": [(1, None), (2, None), (3, "https://support.example")],
}
raise SystemExit(0 if loaded == expected else "The behaviour differs from the description.")
PY
