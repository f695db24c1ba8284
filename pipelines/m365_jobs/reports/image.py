"""Convert the report's HTML to PDF or PNG without a browser."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from m365_jobs.errors.exceptions import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

PIXELS_PER_POINT = 8 / 3
"""Pixels of the image per point (1/72 inch): two for each CSS pixel (1/96 inch)."""

MARGIN_PIXELS = 40
"""White space below the content of a page that an image keeps."""


def pdf(document: str) -> bytes:
    """Return an HTML document as a PDF with pages, page numbers, title and metadata."""
    return bytes(_weasyprint().HTML(string=document).write_pdf(pdf_tags=True))


def png(document: str) -> bytes:
    """Return an HTML document as one PNG of double resolution, with its pages below each other."""
    import pypdfium2
    from PIL import Image

    with pypdfium2.PdfDocument(_weasyprint().HTML(string=document).write_pdf()) as pdf_document:
        parts = [_trim(page.render(scale=PIXELS_PER_POINT).to_pil()) for page in pdf_document]
    picture = Image.new("RGB", (max(part.width for part in parts), sum(part.height for part in parts)), "white")
    top = 0
    for part in parts:
        picture.paste(part, (0, top))
        top += part.height
    output = io.BytesIO()
    picture.save(output, "PNG", optimize=True)
    return output.getvalue()


def _trim(picture: Image) -> Image:
    """Return a page without the white space below its content."""
    import PIL.Image
    from PIL import ImageChops

    blank = PIL.Image.new(picture.mode, picture.size, "white")
    box = ImageChops.difference(picture, blank).getbbox()
    return picture.crop((0, 0, picture.width, min(box[3] + MARGIN_PIXELS, picture.height))) if box else picture


def _weasyprint() -> Any:
    """Return the module ``weasyprint``.

    Raises:
        UsageError: if a library of the system is missing.
    """
    try:
        import weasyprint
    except OSError as error:
        library = re.search(r"'([^']+)'", str(error))
        raise UsageError(
            f"PDF and PNG need the library Pango, and {library[1] if library else 'it'} was not found. Install it (on "
            "Debian: apt-get install libpango-1.0-0 libpangoft2-1.0-0 fonts-dejavu-core), or write .html, which needs "
            "no library."
        ) from error
    return weasyprint
