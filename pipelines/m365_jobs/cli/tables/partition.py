"""Draw the label of a partition in a column."""

from rich.text import Text


def wrap_partition(name: str, width: int) -> Text:
    """Return a partition's label, with one part per line if it is wider than ``width``."""
    head, slash, service = name.rpartition("/")
    if len(name) <= width or not slash:
        return Text(name)
    lines = [f"{head}/"] if len(head) < width else [f"{part}/" for part in head.split("/")]
    return Text("\n".join([*lines, f"  {service}"]))
