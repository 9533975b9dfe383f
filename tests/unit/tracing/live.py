"""What the tests of changing corpora share: a corpus that is written to, and one that only ever held what is left."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.tracing.catalogue import Catalogue
from services.tracing.continuation import backed_off
from services.tracing.index.corpus import CorpusManifest, changing, publish
from services.tracing.index.records import Record
from services.tracing.index.segment import Segment
from services.tracing.index.stored import write_segment
from services.tracing.index.writer import Writer
from services.tracing.tokenizer import Ids, Tokenizer
from services.tracing.trace.lookup import look_up_text
from services.tracing.trace.procedure import Options, trace

WORDS = ("the heron", "waits", "for fish", "at dawn", "and the crane", "sleeps")
PROBES = ("the", "the heron waits", "fish at dawn", "crane sleeps", "waits for fish")


def record(identity: str, text: str = "") -> Record:
    """Of a document of these tests."""
    return Record(identity, "", "test", "CC0", f"https://x/{identity}", hashlib.sha256(text.encode()).hexdigest())


def documents(texts: Mapping[str, str], tokenizer: Tokenizer) -> list[tuple[Record, Ids]]:
    """As the writer takes them."""
    return [(record(identity, text), tokenizer.encode(text).ids) for identity, text in texts.items()]


def empty(root: Path, tokenizer: Tokenizer, built: Mapping[str, str] | None = None) -> None:
    """A corpus `papers` with what was built of files, if anything."""
    folder = root / "papers"
    folder.mkdir(parents=True)
    if built:
        made = documents(built, tokenizer)
        write_segment(folder / "segment-0", "papers", tokenizer, [ids for _, ids in made], [one for one, _ in made])
    manifest = CorpusManifest(
        id="papers",
        owner="papers",
        public=True,
        licence="CC0",
        tokenizer=tokenizer.fingerprint,
        input="",
        skipped=0,
        segments=["segment-0"] if built else [],
    )
    with changing(folder):
        publish(folder, manifest)


def opened(root: Path, tokenizer: Tokenizer, blocked: Path | None = None) -> tuple[Catalogue, Writer]:
    """As a service that starts."""
    catalogue = Catalogue(root, tokenizer, ["papers"], blocked)
    return catalogue, Writer(root, tokenizer, catalogue.look)


def held(catalogue: Catalogue) -> dict[str, str]:
    """The documents there are, by id; none twice."""
    found = [
        (segment.record(number).id, segment.text(number))
        for segment in catalogue.select(["papers"], None).segments
        for number in segment.alive().tolist()
    ]
    assert len({identity for identity, _ in found}) == len(found)
    return dict(found)


def answers(segments: list[Segment], tokenizer: Tokenizer, text: str) -> Any:
    """All that is asked of segments, in a form that does not depend on how documents are spread over them."""
    counts = {}
    for probe in PROBES:
        hits = look_up_text(probe, segments, tokenizer)[1]
        following = backed_off(tokenizer.encode(probe).ids, segments)
        found = {segment.record(number).id for segment in segments for number in segment.find("id", probe)}
        counts[probe] = (sum(hit.times for hit in hits), following, found)
    traced = trace(text, "", segments, tokenizer, Options(max_spans=50, documents=100))
    spans = [
        (
            span.start,
            span.end,
            span.count,
            sorted(
                (segments[each.occurrence.segment].record(each.occurrence.document).id, round(each.score, 9))
                for each in span.documents
            ),
        )
        for span in traced.spans
    ]
    sizes = sum(segment.documents for segment in segments), sum(segment.tokens for segment in segments)
    return counts, spans, sizes
