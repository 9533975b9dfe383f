"""Qasper: full texts of papers on language processing, and yes/no questions that their readers asked."""

from __future__ import annotations

import re
from typing import Any

from gateway.data.records import Document, Question, distinct
from gateway.data.sources.base import Benchmarks, Passages, Reading, TextSource
from gateway.data.sources.standalone import names_its_subject

SOURCE = TextSource(
    name="qasper",
    owner="papers",
    licence="CC-BY-4.0",
    origin="Qasper (Dasigi et al. 2021), the yes/no part of its training set",
    note="CC-BY-4.0 is the data set's licence; the papers' authors keep their own rights.",
)

# Crumbs of LaTeX that the data set kept as paragraphs: heading indents ("1.1.1em") and nothing else.
_LATEX_CRUMB = re.compile(r"[\d.\s]*em")
# A question about "the paper" or "their model" needs the paper beside it.
_ABOUT_THE_READING = re.compile(
    r"\b(authors?|papers?|research|experiments?|the (?:\w+ )?"
    r"(?:model|method|approach|data ?sets?|corpus|system|annotators?|results?|evaluation|task|architecture|network))\b",
    re.IGNORECASE,
)


def read(benchmarks: Benchmarks) -> Reading:
    """A document for each paper, and its questions with the answer "yes" or "no"."""
    passages, questions = Passages(SOURCE), []
    for item in benchmarks.items("qasper_yesno/mc_5shot"):
        number = _number(item)
        paper = passages.add(_text(item), title=item["title"], key=number, url=f"https://arxiv.org/abs/{number}")
        questions.append(_question(item, paper))
    return Reading(passages.documents(), questions)


def _number(item: dict[str, Any]) -> str:
    """The arXiv number of a paper: the item's id is the number and a count of its questions."""
    return str(item["id"]).rsplit("_", 1)[0]


def _text(item: dict[str, Any]) -> str:
    blocks = [item["title"], item["abstract"]]
    for heading, paragraphs in zip(item["full_text"]["section_name"], item["full_text"]["paragraphs"], strict=True):
        kept = [p.strip() for p in paragraphs if p.strip() and not _LATEX_CRUMB.fullmatch(p.strip())]
        if kept:
            # "Data ::: Annotation" is the data set's way to write a heading below a heading.
            blocks += [*([heading.replace(" ::: ", ": ")] if heading else []), *kept]
    return "\n\n".join(block.strip() for block in blocks if block and block.strip())


def _question(item: dict[str, Any], paper: Document) -> Question:
    return SOURCE.question(
        str(item["question_id"]),
        item["question"],
        distinct([str(item["answer"]).lower()]),
        paper.id,
        standalone=names_its_subject(item["question"]) and not _ABOUT_THE_READING.search(item["question"]),
    )
