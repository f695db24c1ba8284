#!/usr/bin/env bash
# Show that standardwebhooks signs another moment than its caller passes.
#
# Versions: standardwebhooks 1.1.0
# Behaviour: sign() replaces the time zone of its timestamp by UTC instead of converting the time. It signs a time
#   in UTC+02:00 as a time that is two hours later. The receiver reads the true moment from the header, and finds
#   no matching signature.
# Expected: The signatures of two equal datetime objects are equal.
# Why it matters: If a program signs an alert about failed backups with a local time, each receiver rejects it. On
#   machines in UTC all tests pass.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'standardwebhooks==1.1.0'
venv/bin/python - <<'PY'
from datetime import datetime, timedelta, timezone
from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook("whsec_" + "QUJDRA==")
utc = datetime.now(timezone.utc).replace(microsecond=0)
local = utc.astimezone(timezone(timedelta(hours=2)))
body = '{"event": "job.failed"}'

def check(moment):
    headers = {"webhook-id": "1", "webhook-timestamp": str(int(moment.timestamp())),
               "webhook-signature": webhook.sign("1", moment, body)}
    try:
        return webhook.verify(body, headers)
    except WebhookVerificationError as error:
        return f"{type(error).__name__}: {error}"

results = check(utc), check(local)
print("equal moments:", utc == local)
print("signed in UTC:      ", results[0])
print("signed in UTC+02:00:", results[1])
shifted = webhook.sign("1", local, body) == webhook.sign("1", utc + timedelta(hours=2), body)
print("equals the signature of two hours later:", shifted)
held = results[0] == {"event": "job.failed"} and "No matching signature" in results[1] and shifted
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
