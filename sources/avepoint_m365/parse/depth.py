"""Measure the depth of JSON before a parser descends into it."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

DEEPEST = 100
"""Levels of JSON that are accepted; documented are six."""

_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_STEPS = bytes(set(range(256)) - set(b"[{]}"))
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""A text, or what follows a quote that none closes: to look for its end from each quote would take for ever."""


def is_too_deep(content: bytes) -> bool:
    """Return true if JSON is nested deeper than ``DEEPEST``.

    Arrow descends a level with each call, and some thousands of them end the process; Python gives up at a thousand.
    """
    # Brackets in texts are taken out only where they might be the reason: that takes ten times as long.
    return _depth(content) > DEEPEST and _depth(_TEXT.sub(b"", content)) > DEEPEST


def _depth(content: bytes) -> int:
    """Return the most brackets that are open at once."""
    steps = content.translate(_STEPS, _NO_STEPS)
    signs = pa.Array.from_buffers(pa.int8(), len(steps), [None, pa.py_buffer(steps)])
    return pc.max(pc.cumulative_sum(signs.cast(pa.int32()))).as_py() or 0
