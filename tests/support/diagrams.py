"""Draw the diagrams of the documentation site as SVG, so that no page loads a script from another host.

mkdocs calls ``on_page_markdown`` for each page. The diagrams are written in Mermaid, which code hosts can draw.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any

BLOCK = re.compile(r"^```mermaid\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NODE = re.compile(r"(\w+)\[\(?([^\]()]+)\)?\]")
ARROW = re.compile(r"(\w+)\S* -->(?:\|([^|]+)\|)? (\w+)")
RELATION = re.compile(r"(\w+) [|}]\S+ (\w+) : \"([^\"]*)\"")

WIDTH, HEIGHT, GAP_X, GAP_Y = 200, 48, 24, 56
"""Size of a box, and gaps between boxes, in pixels."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the text of a page with each diagram replaced by its drawing."""
    return BLOCK.sub(lambda match: draw(match[1]), markdown)


def draw(source: str) -> str:
    """Return a diagram as SVG: its nodes in layers from top to bottom, each node below its predecessors."""
    labels = {name: text.split("\\n") for name, text in NODE.findall(source)}
    plain = NODE.sub(r"\1", source)
    edges = [(first, last, text) for first, text, last in ARROW.findall(plain)] or RELATION.findall(source)
    if not edges:
        raise ValueError(f"Diagram not recognised: {source[:40]!r}. Use flowchart or erDiagram.")
    places = _places(edges)
    width = max(x for x, _ in places.values()) + WIDTH + GAP_X
    height = max(y for _, y in places.values()) + HEIGHT + GAP_X
    parts = [_edge(places[first], places[last], text) for first, last, text in edges]
    parts += [_node(places[name], labels.get(name, [name])) for name in places]
    return (
        f'<svg class="diagram" width="{width:g}" viewBox="0 0 {width:g} {height:g}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(_title(edges, labels))}</title>{''.join(parts)}</svg>"
    )


def _title(edges: list[tuple[str, str, str]], labels: dict[str, list[str]]) -> str:
    """Return the diagram in words, for readers who cannot see it."""
    return "; ".join(f"{' '.join(labels.get(a, [a]))} to {' '.join(labels.get(b, [b]))}" for a, b, _ in edges)


def _places(edges: list[tuple[str, str, str]]) -> dict[str, tuple[float, float]]:
    depth = {name: 0 for edge in edges for name in edge[:2]}
    for _ in depth:
        for first, last, _ in edges:
            depth[last] = max(depth[last], depth[first] + 1)
    layers: dict[int, list[str]] = {}
    for name, layer in depth.items():
        layers.setdefault(layer, []).append(name)
    widest = max(map(len, layers.values()))
    places = {}
    for layer, names in layers.items():
        offset = (widest - len(names)) * (WIDTH + GAP_X) / 2
        for index, name in enumerate(names):
            places[name] = (GAP_X / 2 + offset + index * (WIDTH + GAP_X), GAP_X / 2 + layer * (HEIGHT + GAP_Y))
    return places


def _node(place: tuple[float, float], lines: list[str]) -> str:
    x, y = place
    middle = y + HEIGHT / 2 - 9 * (len(lines) - 1)
    texts = "".join(
        f'<text x="{x + WIDTH / 2:g}" y="{middle + 5 + 18 * index:g}">{escape(line)}</text>'
        for index, line in enumerate(lines)
    )
    return f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>{texts}'


def _edge(first: tuple[float, float], last: tuple[float, float], text: str) -> str:
    (x1, y1), (x2, y2) = first, last
    x1, y1, x2 = x1 + WIDTH / 2, y1 + HEIGHT, x2 + WIDTH / 2
    # Place the label near the end, because edges from the same node are apart there.
    x, y = x1 + 0.7 * (x2 - x1) + 6, y1 + 0.7 * (y2 - y1)
    label = f'<text class="edge" x="{x:g}" y="{y:g}">{escape(text)}</text>' if text else ""
    head = f"M{x2 - 5:g} {y2 - 8:g}L{x2:g} {y2:g}L{x2 + 5:g} {y2 - 8:g}"
    return f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}{head}"/>{label}'
