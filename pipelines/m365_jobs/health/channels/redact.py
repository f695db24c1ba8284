"""Replace mailbox names and URLs in texts for receivers outside the organization."""

from __future__ import annotations

import re

# A name is searched from its first character only: from each, a text of a megabyte would need hours.
URL = re.compile(r"""\bhttps?://[^\s"'<>]+|(?<![\w-])[\w-]+\.sharepoint(?:-\w+)?\.\w+[^\s"'<>]*""", re.IGNORECASE)

MAILBOX = re.compile(r"""(?<![^\s@<>"'(),;:])[^\s@<>"'(),;:]+@[\w-]+(?:\.[\w-]+)+""")


def redact(text: str) -> str:
    """Return a text with ``[url]`` and ``[mailbox]`` in place of URLs and mailbox names."""
    return MAILBOX.sub("[mailbox]", URL.sub("[url]", text))
