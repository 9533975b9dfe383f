"""What the unit and contract tests of retrieval share: documents on disk, a small encoder, and built datastores."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.retrieval.datastore.build import Report, Sizes, build
from services.retrieval.datastore.catalogue import open_datastores
from services.retrieval.datastore.opened import Datastore
from services.retrieval.encoders.base import Card
from shared.owners import Owner

Texts = Mapping[str, Sequence[str]]
"""By owner, the texts of one source."""


class HashingEncoder:
    """Words thrown into 16 dimensions by their hash: for tests of everything but encoders."""

    card = Card("hashing", Path(), revision="1", dimension=16, max_tokens=512)

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        size = self.card.dimension
        vectors = np.array(
            [sum((_direction(word, size) for word in text.split()), _direction("", size)) for text in texts]
        )
        units: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        return units

    encode_queries = encode_alone = encode
    """Which `encode` does anyway."""


class SecondEncoder(HashingEncoder):
    """Another, of more dimensions, which is told queries from texts."""

    card = Card("second", Path(), revision="1", dimension=24, max_tokens=512)

    def encode_queries(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        return self.encode([f"query {text}" for text in texts], progress)


def _direction(word: str, size: int) -> NDArray[np.float64]:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).normal(size=size)


def owner(identity: str, *, public: bool = False) -> Owner:
    return Owner(id=identity, name=identity, licence="CC0-1.0", contact="c@example.org", public=public)


def write_lines(path: Path, lines: Iterable[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def write_source(home: Path, name: str, texts: Sequence[str], source: str = "source") -> None:
    """The texts as documents OWNER-SOURCE:0, OWNER-SOURCE:1 ... of an owner."""
    lines = [
        {"id": f"{name}-{source}:{number}", "text": text, "title": f"Title {number}", "owner": name, "source": source}
        for number, text in enumerate(texts)
    ]
    write_lines(home / "texts" / name / f"{source}.jsonl", lines)


def built(home: Path, owners: Sequence[Owner], flat_below: int = 50_000) -> Report:
    """Build what was written, with the small encoder."""
    return build(home, owners, HashingEncoder.card, HashingEncoder, lambda _: None, sizes=Sizes(flat_below=flat_below))


def datastore(home: Path, texts: Texts, flat_below: int = 50_000) -> Datastore:
    """A datastore of these texts alone; the owner named "public" is."""
    for name, part in texts.items():
        write_source(home, name, part)
    built(home, [owner(name, public=name == "public") for name in texts], flat_below)
    return opened(home)


def opened(home: Path) -> Datastore:
    (only,) = open_datastores(home / "retrieval", HashingEncoder.card)
    return only


def write_pdf(pages: Sequence[Sequence[str]], title: str) -> bytes:
    """A PDF of lines of text, by page."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    objects.append(f"<< /Title ({title}) >>".encode())
    numbers = []
    for lines in pages:
        shown = " ".join(f"({line}) Tj T*" for line in lines)
        content = f"BT /F1 12 Tf 14 TL 72 720 Td {shown} ET".encode()
        objects.append(b"<< /Length %d >> stream\n%s\nendstream" % (len(content), content))
        place = b"/Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R" % len(objects)
        objects.append(b"<< /Type /Page /Resources << /Font << /F1 3 0 R >> >> %s >>" % place)
        numbers.append(len(objects))
    kids = " ".join(f"{number} 0 R" for number in numbers)
    objects[1] = f"<< /Type /Pages /Count {len(numbers)} /Kids [{kids}] >>".encode()
    body, offsets = b"%PDF-1.4\n", []
    for number, thing in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, thing)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    trailer = b"trailer << /Size %d /Root 1 0 R /Info 4 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(body))
    return body + b"xref\n0 %d\n0000000000 65535 f \n" % size + table + trailer
