"""MedMCQA: explanations that teachers wrote for questions of Indian medical entrance examinations."""

from __future__ import annotations

import re
from typing import Any

from gateway.data.records import Document, Question, distinct
from gateway.data.sources.base import Benchmarks, Passages, Reading, TextSource

SOURCE = TextSource(
    name="medmcqa",
    owner="medicine",
    licence="Apache-2.0",
    origin="MedMCQA (Pal et al. 2022), validation set",
    url="https://medmcqa.github.io",
    note="The wheel states no licence for this set. Apache-2.0 is what copies of it state; MIT is named for it too:"
    " see https://medmcqa.github.io. The set lost the letters 'rt' in many words"
    " ('hea' for 'heart'); the text is kept as published.",
)

# Below this an "explanation" is a citation or "Ans. is b": nothing to read.
_SHORTEST = 60
_NEEDS_THE_OPTIONS = re.compile(
    r"\b(following|except|not|false|true|incorrect|correct|least|above|below|these|all|none|which of"
    r"|here|shown|given|figure|image|picture)\b|:$|_",
    re.IGNORECASE,
)
_NO_ANSWER_ALONE = re.compile(r"\b(all|none|both|any|above|below|options?)\b|^[a-d](\s*(&|and|,)\s*[a-d])+$", re.I)


def read(benchmarks: Benchmarks) -> Reading:
    """A document for each distinct explanation; every question with the text of its right option as the answer."""
    passages, questions = Passages(SOURCE), []
    for item in benchmarks.items("medmcqa/mc_5shot"):
        explanation = (item["exp"] or "").strip()
        worth_it = len(explanation) >= _SHORTEST
        document = passages.add(explanation, title=_title(item), key=item["id"]) if worth_it else None
        questions.append(_question(item, document))
    return Reading(passages.documents(), questions)


def _title(item: dict[str, Any]) -> str:
    return ": ".join(part for part in (item["subject_name"], item["topic_name"]) if part and part != "Unknown")


def _question(item: dict[str, Any], document: Document | None) -> Question:
    answer = str(item[("opa", "opb", "opc", "opd")[item["cop"]]])
    question = " ".join(item["question"].split())
    return SOURCE.question(
        item["id"],
        question,
        distinct([answer]),
        document.id if document else None,
        standalone=not (_NEEDS_THE_OPTIONS.search(question) or _NO_ANSWER_ALONE.search(answer)),
    )
