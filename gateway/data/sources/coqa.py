"""CoQA: conversations about a passage. Three of its origins are used, each with an owner of its own.

The others are left out: race (for research only) and mctest (MSR-LA).
"""

from __future__ import annotations

from typing import Any

from gateway.data.records import Turn, distinct, opening
from gateway.data.sources.base import Benchmarks, Passages, Reading, TextSource
from gateway.data.sources.standalone import names_its_subject

_URL = "https://stanfordnlp.github.io/coqa/"
NEWS = TextSource(
    name="coqa-cnn",
    owner="news",
    licence="Apache-2.0",
    origin="CoQA (Reddy et al. 2019), validation set, CNN articles from DeepMind's CNN data set",
    url=_URL,
)
LITERATURE = TextSource(
    name="coqa-gutenberg",
    owner="literature",
    licence="CC-BY-SA-4.0",
    origin="CoQA (Reddy et al. 2019), validation set, excerpts from Project Gutenberg",
    url=_URL,
)
ENCYCLOPEDIA = TextSource(
    name="coqa-wikipedia",
    owner="encyclopedia",
    licence="CC-BY-SA-4.0",
    origin="CoQA (Reddy et al. 2019), validation set, excerpts from Wikipedia",
    url=_URL,
)
# What an annotator wrote where the story does not say.
_NO_ANSWER = {"unknown", "unknown."}


def read(source: TextSource, benchmarks: Benchmarks) -> Reading:
    """The stories of one origin, and every turn that they answer, with the turns before it as context."""
    origin = source.name.removeprefix("coqa-")
    passages, questions = Passages(source), []
    for item in benchmarks.items("coqa/bpb_0shot"):
        answers = [answer for answer in distinct(item["answers"]) if answer.casefold() not in _NO_ANSWER]
        if item["source"] == origin and answers:
            story, turn = item["id"].rsplit("_turn", 1)
            document = passages.add(item["story"], title=opening(item["story"]), key=story)
            context = _before(item, int(turn))
            alone = names_its_subject(item["question"])
            more = {"context": context, "standalone": alone}
            questions.append(source.question(f"{story}-{turn}", item["question"], answers, document.id, **more))
    return Reading(passages.documents(), questions)


def _before(item: dict[str, Any], turn: int) -> list[Turn]:
    """The turns before this one: the item carries the whole conversation, also what follows."""
    return [Turn(question=past["question"], answer=past["answer"]) for past in item["previous_qa"][:turn]]
