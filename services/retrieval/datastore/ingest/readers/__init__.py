"""One module a kind of file, and which reads what.

A reader yields the documents of a part of a file in order, and says what is wrong with each thing in it that is none.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.retrieval.datastore.ingest.readers import html, jsonl, parquet, pdf, text
from services.retrieval.datastore.ingest.readers.base import Reader

READERS: Mapping[str, Reader] = {
    ".jsonl": Reader(jsonl.split, jsonl.read, clean=False, web=False),
    ".parquet": Reader(parquet.split, parquet.read, clean=False, web=False),
    ".txt": Reader(text.split, text.read, clean=True, web=False),
    ".md": Reader(text.split, text.read, clean=True, web=False),
    ".html": Reader(text.split, html.read, clean=True, web=True),
    ".htm": Reader(text.split, html.read, clean=True, web=True),
    ".pdf": Reader(text.split, pdf.read, clean=True, web=False),
}
"""By suffix in lower case."""
