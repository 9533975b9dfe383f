"""DROP: paragraphs of Wikipedia on games, wars and censuses, and questions that take counting or comparing."""

from __future__ import annotations

from gateway.data.records import distinct, opening
from gateway.data.sources.base import Benchmarks, Passages, Reading, TextSource

SOURCE = TextSource(
    name="drop",
    owner="encyclopedia",
    licence="CC-BY-SA-4.0",
    origin="DROP (Dua et al. 2019), 1,000 questions of its validation set, from Wikipedia",
    url="https://allenai.org/data/drop",
)


def read(benchmarks: Benchmarks) -> Reading:
    """A document for each passage, and its questions. Few of them name their subject, so none counts as standalone."""
    passages, questions = Passages(SOURCE), []
    for item in benchmarks.items("drop/bpb_5shot"):
        document = passages.add(item["passage"], title=opening(item["passage"]))
        answers = distinct(", ".join(spans) for spans in item["answers"])
        questions.append(SOURCE.question(item["query_id"], item["question"], answers, document.id, standalone=False))
    return Reading(passages.documents(), questions)
