"""The suite: what a model copies of a book, literally and in characters and events, with its owner in and out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from services.evaluation.books.errors import BadBook
from services.evaluation.books.file import FOLDER, Book, known, read
from services.evaluation.endpoint import Endpoint
from services.evaluation.errors import BadOption, MissingData
from services.evaluation.metrics.copying import (
    CHARACTERS_COPIED,
    COPIED,
    EVENTS_COPIED,
    calibrate,
    characters_named,
    events_told,
    rouge_l,
    windows,
)
from services.evaluation.suites import base
from services.evaluation.suites.base import Answer, Plan, Planned
from services.evaluation.suites.copybench import asked, planned
from services.evaluation.suites.copybench.judge import LEAST_ACCURACY, Judge
from services.evaluation.suites.copybench.told import told
from services.evaluation.suites.owners.measure import ALL
from services.evaluation.suites.served import served
from shared.contracts.base import Strict
from shared.contracts.evaluation import Item
from shared.owners import Owner, load_owners

Measured = Literal["literal", "characters", "events"]


class CopyBenchOptions(Strict):
    """Which books, by which measures, and under which settings."""

    books: Annotated[list[str] | None, Field(description="Default: all that `candor eval book` made.")] = None
    measures: Annotated[list[Measured], Field(min_length=1)] = ["literal", "characters", "events"]
    settings: Annotated[list[asked.Kind], Field(min_length=1)] = ["all", "without_owner", "system_prompt"]
    through: Annotated[
        asked.Through, Field(description="completions: the bare text is gone on from; chat: by an instruction.")
    ] = "completions"
    story_tokens: Annotated[int, Field(ge=1, le=4096, description="Of a story. Upstream: 1024.")] = 512
    system_prompt: Annotated[str, Field(min_length=1)] = asked.SYSTEM_PROMPT


class CopyBench:
    """The suite. An item is a passage or an opening of a book under one setting."""

    id = "copybench"
    version = "1"
    title = "What the model copies of a book, with the book's owner in and out"
    description = (
        "CopyBench's measures on books made by `candor eval book`. literal: a greedy continuation of 162 words, by "
        f"ROUGE-L with the next 49 ({COPIED} and more is a copy). characters: of a story that goes on from a sentence "
        f"of the book, how many of its characters it names and the sentence does not ({CHARACTERS_COPIED} and more is "
        "a copy). events: how many of the book's key events a window of 128 tokens of the story tells of "
        f"({EVENTS_COPIED} and more is a copy), by how much likelier the window makes the event to the endpoint's own "
        "public experts. judge is that judge's balanced accuracy on pairs that are known; below "
        f"{LEAST_ACCURACY} it judges nothing and events have no score."
    )
    options: type[BaseModel] = CopyBenchOptions
    metrics: Mapping[str, base.Kind] = {
        "rouge_l": "mean",
        "literal_copied": "proportion",
        "characters": "mean",
        "characters_copied": "proportion",
        "events": "mean",
        "events_copied": "proportion",
        "judge": "mean",
    }
    contrasts: Sequence[tuple[str, str]] = ()
    compared: Sequence[str] = ["rouge_l", "literal_copied", "characters", "events"]

    def plan(self, options: CopyBenchOptions, limit: int, seed: int, home: Path) -> Plan:
        """Book by book, each passage and opening under all settings. Raises BadOption, MissingData."""
        found, warnings, owners = list[Planned](), list[str](), load_owners()
        if "memfree" in options.settings and options.through == "chat":
            raise BadOption("settings", "MemFree decoding is an option of completions: ask through completions.")
        books = _books(home, options.books)
        judges = [one.id for one in owners if one.public] if "events" in options.measures else []
        if "events" in options.measures and not judges:
            warnings.append("events: no owner is public, and the judge must be the same under every setting; left out.")
        for book in books:
            settings, said = _settings(book, options, owners)
            warnings += said
            if "literal" in options.measures:
                found += planned.literal(book, settings, options.through, limit, seed)
            if {*options.measures} & {"characters", "events"}:
                able = judges if len(book.events) > 1 else []
                found += planned.stories(
                    book, settings, options.through, limit, seed, tokens=options.story_tokens, judges=able
                )
        return Plan(found, {f"book {book.id}": f"sha256:{book.sha256}" for book in books}, warnings)

    async def describe(self, endpoint: Endpoint, versions: Mapping[str, str]) -> dict[str, str]:
        """The model and experts that are served. Raises EndpointError."""
        return await served(endpoint, versions.get("model"))

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """The continuation, and what the judge makes of a story. Raises EndpointError or BadAnswer."""
        ask = planned.ask
        answer = asked.read(await endpoint.post(ask["path"], ask["body"], item=planned.id), planned)
        if ask["measure"] == "story" and ask["events"]:
            judge = Judge(endpoint, ask["judges"], planned.id)
            answer.details["known"] = await judge.known(ask["events"])
            answer.details["gains"] = await judge.gains(
                windows(answer.output), [event["text"] for event in ask["events"]]
            )
        return answer

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """The counts, and whether they make a copy. Events have a score of a judge that can tell only."""
        if planned.ask["measure"] == "literal":
            found = rouge_l(answer.output, planned.gold[0])
            return {"rouge_l": found, "literal_copied": float(found >= COPIED)}
        named = characters_named(planned.ask["characters"], answer.output, planned.question)
        return {
            "characters": float(named),
            "characters_copied": float(named >= CHARACTERS_COPIED),
            **_events(answer),
        }

    def contrasts_among(self, settings: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Everyone in, against each other setting."""
        return [(setting, ALL) for setting in settings if setting != ALL]

    def summary(self, items: Iterable[Item]) -> list[str]:
        """A paragraph for each book."""
        return told(items)


def _events(answer: Answer) -> dict[str, float]:
    if "known" not in answer.details:
        return {}
    judge = calibrate(**answer.details["known"])
    if judge.accuracy < LEAST_ACCURACY:
        return {"judge": judge.accuracy}
    told_of = events_told(answer.details["gains"], judge.threshold)
    return {"judge": judge.accuracy, "events": float(told_of), "events_copied": float(told_of >= EVENTS_COPIED)}


def _books(home: Path, names: Sequence[str] | None) -> list[Book]:
    there = known(home)
    if not there:
        raise MissingData(f"There is no book in {home / FOLDER}: make one with `candor eval book FILE --owner ID`.")
    for name in names or []:
        if name not in there:
            raise BadOption("books", f"There is no book {name!r}. Known: {', '.join(there)}.")
    try:
        return [read(home, name) for name in dict.fromkeys(there if names is None else names)]
    except BadBook as error:
        raise BadOption("books", str(error)) from error


def _settings(
    book: Book, options: CopyBenchOptions, owners: Sequence[Owner]
) -> tuple[list[asked.Setting], Sequence[str]]:
    """The settings of a book, and what is left out, in words. `all` has the book's owner in, by default or not."""
    [*whose] = [one for one in owners if one.id == book.owner]
    if not whose:
        raise BadOption("books", f"The owner {book.owner!r} of {book.id} is not in owners.yaml: build the book anew.")
    everyone = [one.id for one in owners if one.public or one.default == "in" or one.id == book.owner]
    kinds, said = [*options.settings], list[str]()
    if whose[0].public and "without_owner" in kinds:
        kinds.remove("without_owner")
        said.append(f"{book.id}: its owner {book.owner} is public and cannot be left out.")
    if not whose[0].experts:
        said.append(
            f"{book.id}: its owner {book.owner} has no expert in the model; leaving it out changes no continuation."
        )
    return asked.settings(kinds, book.owner, everyone, options.system_prompt), said
