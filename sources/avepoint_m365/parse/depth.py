"""Measure the depth of JSON before it is parsed."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

DEEPEST = 100
"""The most levels of JSON; documented responses have six."""

_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_STEPS = bytes(set(range(256)) - set(b"[{]}"))
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""A text, or the rest of the content after a quote without an end; searching again from each quote would be quadratic.
"""


def is_too_deep(content: bytes) -> bool:
    """Return whether JSON is nested deeper than ``DEEPEST``.

    Arrow's parser recurses for each level, and thousands of levels end the process. Python's parser refuses a thousand.
    """
    # Removing texts, whose brackets do not count, is ten times as slow. It is done only if they might be the reason.
    return _depth(content) > DEEPEST and _depth(_TEXT.sub(b"", content)) > DEEPEST


def _depth(content: bytes) -> int:
    """Return the largest number of brackets that are open at the same time."""
    steps = content.translate(_STEPS, _NO_STEPS)
    signs = pa.Array.from_buffers(pa.int8(), len(steps), [None, pa.py_buffer(steps)])
    return pc.max(pc.cumulative_sum(signs.cast(pa.int32()))).as_py() or 0
