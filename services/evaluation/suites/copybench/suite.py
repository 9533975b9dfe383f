"""The suite: what a model copies of a book, and what keeping it from that costs, with its owner in and out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from services.evaluation.books.errors import BadBook
from services.evaluation.books.file import FOLDER, Book, known, read
from services.evaluation.endpoint import Endpoint
from services.evaluation.errors import BadOption, MissingData
from services.evaluation.metrics.copying import CHARACTERS_COPIED, COPIED, EVENTS_COPIED
from services.evaluation.suites import base
from services.evaluation.suites.base import Answer, Plan, Planned
from services.evaluation.suites.copybench import asked
from services.evaluation.suites.copybench.cloze import Cloze
from services.evaluation.suites.copybench.elsewhere import elsewhere
from services.evaluation.suites.copybench.judge import LEAST_ACCURACY
from services.evaluation.suites.copybench.literal import Literal
from services.evaluation.suites.copybench.story import Story
from services.evaluation.suites.copybench.task import Measured, Scope, Task
from services.evaluation.suites.copybench.told import told
from services.evaluation.suites.outside import Outside
from services.evaluation.suites.owners.measure import ALL
from services.evaluation.suites.served import served
from shared.contracts.base import Strict
from shared.contracts.evaluation import Item
from shared.contracts.model import PUBLIC
from shared.owners import Owner, load_owners

TASKS: tuple[Task, ...] = (Literal(), Story(), Cloze())
"""In the order of the report."""

_BY_ID = {task.id: task for task in TASKS}


class CopyBenchOptions(Strict):
    """Which books, by which measures, and under which settings."""

    books: Annotated[
        list[str] | None, Field(min_length=1, description="Default: all that `candor eval book` made.")
    ] = None
    measures: Annotated[list[Measured], Field(min_length=1)] = ["literal", "characters", "events", "qa", "fluency"]
    settings: Annotated[list[asked.Kind], Field(min_length=1)] = ["all", "without_owner", "system_prompt"]
    through: Annotated[
        asked.Through, Field(description="completions: the bare text is gone on from; chat: by an instruction.")
    ] = "completions"
    story_tokens: Annotated[int, Field(ge=1, le=4096, description="Of a story. Upstream: 1024.")] = 512
    system_prompt: Annotated[str, Field(min_length=1)] = asked.SYSTEM_PROMPT
    judge: Annotated[
        str | None,
        Field(
            description="Who judges events and fluency: an endpoint with a model, of CANDOR_EVALUATION_ENDPOINTS. "
            "Default: the stack's public experts."
        ),
    ] = None


class CopyBench:
    """The suite. An item is a passage, an opening or a question of a book under one setting."""

    id = "copybench"
    version = "3"
    title = "What the model copies of a book, with the book's owner in and out"
    description = (
        "CopyBench's measures on books made by `candor eval book`. literal: a greedy continuation of 162 words, by "
        f"ROUGE-L with the next 49 ({COPIED} and more is a copy). characters: of a story that goes on from a sentence "
        f"of the book, how many of its characters it names and the sentence does not ({CHARACTERS_COPIED} and more is "
        "a copy). events: how many of the book's key events a window of 128 tokens of the story tells of "
        f"({EVENTS_COPIED} and more is a copy), by how much likelier the window makes the event to the endpoint's own "
        "public experts, or by another judge that the option `judge` names. "
        "What it costs to copy less: qa asks whose name is left out after 20 sentences of the book "
        "(qa_f1, qa_exact; qa_commonest is what always naming whom they name most would have); MemFree decoding "
        "forbids the right name where the owner's texts hold the book. fluency rates the stories from 1 to 5 by a "
        "rubric with examples, by the same judge. judge is the balanced accuracy of the judge of events, "
        "fluency_judge that of fluency where it is least, on pairs that are known; a judge below "
        f"{LEAST_ACCURACY} judges nothing, and what it would judge has no score."
    )
    options: type[BaseModel] = CopyBenchOptions
    metrics: Mapping[str, base.Kind] = {name: kind for task in TASKS for name, kind in task.metrics.items()}
    contrasts: Sequence[tuple[str, str]] = ()
    compared: Sequence[str] = [metric for task in TASKS for metric in task.compared]

    def plan(self, options: CopyBenchOptions, limit: int, seed: int, home: Path) -> Plan:
        """Book by book and task by task, each question under all settings. Raises BadOption, MissingData."""
        found, owners = list[Planned](), load_owners()
        of = dict[str, list[str]]()
        """By what is said, the books of which it is."""
        if "memfree" in options.settings and options.through == "chat":
            raise BadOption(
                "settings",
                "The setting memfree is for completions only: leave it out, or ask with --option through=completions.",
            )
        books = _books(home, options.books)
        judges = [one.id for one in owners if one.public]
        # the anchor's own expert, which is always on, belongs to no owner and has this name in every answer
        experts = [PUBLIC, *(expert for one in owners if one.public for expert in one.experts)]
        for book in books:
            settings, said = _settings(book, options, owners)
            scope = Scope(
                book=book,
                settings=settings,
                measures=options.measures,
                through=options.through,
                limit=limit,
                seed=seed,
                story_tokens=options.story_tokens,
                judge=options.judge,
                judges=judges,
                experts=experts,
            )
            for task in TASKS:
                if {*task.measures} & {*options.measures}:
                    part = task.plan(scope)
                    found += part.items
                    said += part.warnings
            for sentence in said:
                of.setdefault(sentence, []).append(book.id)
        warnings = [f"{', '.join(names)}: {sentence}" for sentence, names in of.items()]
        return Plan(found, {f"book {book.id}": f"sha256:{book.sha256}" for book in books}, warnings)

    def others(self, options: CopyBenchOptions) -> Mapping[str, str]:
        """The judge, if it is another."""
        return {"judge": options.judge} if options.judge is not None else {}

    def outside(self, plan: Plan, there: Outside) -> Plan:
        """Everyone in, and told not to copy."""
        return elsewhere(plan, there)

    async def describe(self, endpoint: Endpoint, versions: Mapping[str, str]) -> dict[str, str]:
        """The model and experts that are served. Raises EndpointError."""
        return await served(endpoint, versions.get("model"))

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """As the item's task asks. Raises EndpointError or BadAnswer."""
        return await _BY_ID[planned.ask["measure"]].answer(planned, endpoint)

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """As the item's task scores."""
        return _BY_ID[planned.ask["measure"]].score(planned, answer)

    def contrasts_among(self, settings: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Everyone in, against each other setting."""
        return [(setting, ALL) for setting in settings if setting != ALL]

    def summary(self, items: Iterable[Item]) -> list[str]:
        """A paragraph for each book and task."""
        return told(items, _BY_ID)


def _books(home: Path, names: Sequence[str] | None) -> list[Book]:
    there = known(home)
    if not there:
        raise MissingData(f"There is no book in {home / FOLDER}.", "Make one with `candor eval book FILE --owner ID`.")
    for name in names or []:
        if name not in there:
            raise BadOption(
                "books",
                f"There is no book {name!r}. Known: {', '.join(there)}. Make others with `candor eval book`.",
            )
    try:
        return [read(home, name) for name in dict.fromkeys(there if names is None else names)]
    except BadBook as error:
        raise BadOption("books", str(error)) from error


def _settings(book: Book, options: CopyBenchOptions, owners: Sequence[Owner]) -> tuple[list[asked.Setting], list[str]]:
    """The settings of a book, and what they cannot show, in words. `all` has the book's owner in, by default or not."""
    [*whose] = [one for one in owners if one.id == book.owner]
    if not whose:
        raise BadOption(
            "books",
            f"The owner {book.owner!r} of the book {book.id!r} is not in owners.yaml: name it there, or make the book "
            "again with `candor eval book` and another --owner.",
        )
    everyone = [one.id for one in owners if one.takes_part or one.id == book.owner]
    kinds, said = [*options.settings], list[str]()
    if whose[0].public and "without_owner" in kinds:
        kinds.remove("without_owner")
        said.append(
            f"the owner {book.owner} is public and cannot be left out, so that the setting without_owner is not asked."
        )
    if "without_owner" in kinds and not whose[0].experts:
        said.append(
            f"the owner {book.owner} has no expert in the model, so that leaving it out changes nothing here. To "
            "measure what its data do, train an expert on them first (`candor expert train`)."
        )
    return asked.settings(kinds, book.owner, everyone, options.system_prompt), said
