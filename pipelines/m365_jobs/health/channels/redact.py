"""Replace mailbox names and URLs in texts for receivers outside the organization."""

from __future__ import annotations

import re

URL = re.compile(r"""\bhttps?://[^\s"'<>]+|\b[\w-]+\.sharepoint(?:-\w+)?\.\w+[^\s"'<>]*""", re.IGNORECASE)

MAILBOX = re.compile(r"""[^\s@<>"'(),;:]+@[\w-]+(?:\.[\w-]+)+""")


def redact(text: str) -> str:
    """Return a text with ``[url]`` and ``[mailbox]`` in place of URLs and mailbox names."""
    return MAILBOX.sub("[mailbox]", URL.sub("[url]", text))
