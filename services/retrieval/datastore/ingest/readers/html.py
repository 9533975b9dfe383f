"""Web pages: the main content, by Resiliparse's extractor (Bevendorff et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding
from resiliparse.parse.html import HTMLTree

from services.retrieval.datastore.ingest.readers.base import File, Found, Origin, Part
from services.retrieval.datastore.ingest.readers.text import whole


def read(file: File, part: Part, origin: Origin) -> Iterator[Found]:  # noqa: ARG001
    """The page's main content without navigation, scripts and forms; all its text if none of it is found to be main.

    Its url is the canonical one that the page names.
    """
    content = file.path.read_bytes()
    try:
        tree = HTMLTree.parse_from_bytes(content, detect_encoding(content, from_html_meta=True) or "utf-8")
        text = extract_plain_text(tree, main_content=True)
        text = text if text.strip() else extract_plain_text(tree)
        yield "", whole(file, origin, _clean(text), _clean(tree.title or "").strip(), _canonical(tree))
    except ValueError as error:
        yield "", str(error)


def _canonical(tree: HTMLTree) -> str | None:
    link = tree.head.query_selector("link[rel=canonical]") if tree.head else None
    address = str(link.getattr("href") or "") if link else ""
    return address if address.startswith(("http://", "https://")) else None


def _clean(text: str) -> str:
    """Without control characters, which no page means."""
    return "".join(character for character in text if character >= " " or character in "\n\t")
