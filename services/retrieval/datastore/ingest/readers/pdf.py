"""PDF, by PDFium: the text layer, page by page."""

from __future__ import annotations

from collections.abc import Iterator

import pypdfium2 as pdfium

from services.retrieval.datastore.ingest.readers.base import File, Found, Origin, Part
from services.retrieval.datastore.ingest.readers.text import whole

_HYPHEN = "\ufffe"
"""Where PDFium found a word divided at the end of a line."""


def read(file: File, part: Part, origin: Origin) -> Iterator[Found]:  # noqa: ARG001
    """The document of all pages that can be read, between blank lines, and a fault for each that cannot."""
    try:
        with pdfium.PdfDocument(file.path) as opened:
            pages = []
            for number in range(len(opened)):
                try:
                    pages.append(_text(opened[number]))
                except pdfium.PdfiumError as error:
                    yield f"page {number + 1}", str(error)
            text = "\n\n".join(page for page in pages if page)
            if pages and not text:
                raise ValueError("there is no text in it: a scan must go through text recognition first")
            yield "", whole(file, origin, text, opened.get_metadata_value("Title").strip())
    except (pdfium.PdfiumError, ValueError) as error:
        yield "", str(error)


def _text(page: pdfium.PdfPage) -> str:
    found: str = page.get_textpage().get_text_range()
    return found.replace(_HYPHEN, "").replace("\r\n", "\n").replace("\0", "").strip()
