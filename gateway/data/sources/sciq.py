"""SciQ: paragraphs of science textbooks, and examination questions that crowd workers wrote from them."""

from __future__ import annotations

from gateway.data.records import distinct, opening
from gateway.data.sources.base import Benchmarks, Passages, Reading, TextSource

SOURCE = TextSource(
    name="sciq",
    owner="textbooks",
    licence="CC-BY-NC-3.0",
    origin="SciQ (Welbl et al. 2017), validation set",
    url="https://allenai.org/data/sciq",
)


def read(benchmarks: Benchmarks) -> Reading:
    """A document for each supporting paragraph; every question with its right answer. Some have no paragraph."""
    passages, questions = Passages(SOURCE), []
    for item in benchmarks.items("sciq/mc_5shot"):
        support = item["support"].strip()
        document = passages.add(support, title=opening(support)) if support else None
        questions.append(
            SOURCE.question(
                str(item["index"]),
                item["question"],
                distinct([item["correct_answer"]]),
                document.id if document else None,
            )
        )
    return Reading(passages.documents(), questions)
