"""Whether the model goes on from the beginning of a training document as the document does, with and without owners."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from services.evaluation.endpoint import Endpoint, Reply
from services.evaluation.metrics.copying import COPIED, TOKENS, rouge_l
from services.evaluation.suites.base import Answer, BadAnswer, Kind, Planned
from services.evaluation.suites.consent import check_effective
from services.evaluation.suites.drawing import drawn, item_seed
from services.evaluation.suites.owners.measure import FEWEST, Effect, Effects, Part, Scope, heatmap
from services.evaluation.suites.said import said
from services.evaluation.suites.texts import Document, documents
from shared.contracts.figure import Heatmap

PREFIX_WORDS = 50
MOST_TOKENS = 100
"""Of the continuation: 50 words are some 70 tokens of prose, more of a programming language's."""

_WORD = re.compile(r"\S+")


class Extraction:
    """Greedy continuations of training documents, compared with what follows there: CopyBench's literal measure."""

    id = "extraction"
    metrics: Mapping[str, Kind] = {"rouge_l": "mean", "copied": "proportion"}
    effect = "rouge_l"
    asks = "how closely the model follows documents of {} that it learnt from"
    counted = "documents"
    fewest = FEWEST

    def plan(self, scope: Scope) -> Part:
        """`limit` training documents of each owner with an expert, under all settings that change the model."""
        part, content = Part(), hashlib.sha256()
        settings = scope.settings_of_experts()
        for owner in scope.with_expert:
            trained = [one for one in documents(scope.home, owner) if one.split == "train"]
            fit = [one for one in trained if len(one.text.split()) >= PREFIX_WORDS + TOKENS]
            long = drawn(fit, scope.seed, lambda one: one.id)
            if len(long) < scope.limit:
                part.warnings.append(
                    f"extraction: {owner} has {len(long)} training documents of {PREFIX_WORDS + TOKENS} words or more, "
                    f"of the {scope.limit} asked for."
                )
            for document in long[: scope.limit]:
                content.update(f"{document.id}\n{document.text}\n".encode())
                part.items += [_item(document, owner, setting, scope, out) for setting, out in settings]
        part.digest = content.hexdigest()
        return part

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """One greedy text completion. Raises EndpointError, or BadAnswer where an owner left out computed."""
        return _read(await endpoint.post("/v1/completions", planned.ask["body"], item=planned.id), planned)

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """ROUGE-L of the first 50 tokens, and whether it is a copy."""
        found = rouge_l(answer.output, planned.gold[0])
        return {"rouge_l": found, "copied": float(found >= COPIED)}

    def matrix(self, effects: Effects) -> Heatmap:
        """Differences of ROUGE-L."""
        note = (
            "Below 0: continuations of the row's training documents are less like what follows there when the "
            "column's owner is left out. ROUGE-L goes from 0 to 1; 0.8 and more is a copy."
        )
        differences = {place: effect.difference for place, effect in effects.items()}
        title = "Extraction: ROUGE-L with an owner left out, less that with all"
        return heatmap(title, note, differences, centre=0.0)

    def told(self, owner: str, left_out: str, effect: Effect) -> str:
        """How alike, from nothing to the same words."""
        return (
            f"Given the first {PREFIX_WORDS} words of each of {effect.items} documents that the expert of {owner} was "
            f"trained on, the model goes on like the document to a degree of {effect.before.mean:.2f} with everyone in "
            f"and of {effect.after.mean:.2f} without {left_out}, where 0 is no word in common, 1 the same words, and "
            f"{COPIED} or more a copy."
        )


def _item(document: Document, owner: str, setting: str, scope: Scope, out: str | None) -> Planned:
    begins = [word.start() for word in _WORD.finditer(document.text)]
    prefix = document.text[: begins[PREFIX_WORDS]].rstrip()
    body = {
        "model": "candor",
        "prompt": prefix,
        "max_tokens": MOST_TOKENS,
        "temperature": 0,
        "seed": item_seed(scope.seed, document.id),
        "candor": {"owners": {"include": scope.default(out)}},
    }
    gold = " ".join(document.text[begins[PREFIX_WORDS] :].split()[:TOKENS])
    return scope.item(("extraction", owner), (document.id, prefix), setting, {"body": body}, gold=[gold])


def _read(reply: Reply, planned: Planned) -> Answer:
    try:
        text, used = said(reply.body["choices"][0]), int(reply.body["usage"]["completion_tokens"])
        effective = [str(owner) for owner in reply.body["candor"]["owners"]["effective"]]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadAnswer(f"this is no text completion of a Candor stack: {str(reply.body)[:200]}") from error
    check_effective(effective, planned.ask["body"]["candor"]["owners"]["include"])
    return Answer(planned.question, text, used, reply.latency_ms, {"effective": effective})
