"""`candor retriever`: fine-tune the encoder on the owners' texts."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.failure import Failure, explained
from gateway.cli.terminal import out
from shared.settings import candor_home

commands = typer.Typer(no_args_is_help=True, help="Fine-tune the encoder of the retrieval service.")

Data = Annotated[Path, typer.Option(help="JSONL of pairs, from `candor retriever build-pairs`.")]


@commands.command("build-pairs")
def build_pairs(
    *,
    owners: Annotated[list[str], typer.Option("--owner", help="Whose texts to train on. May be repeated.")],
    data: Annotated[Path, typer.Option("--out", help="Where to write the JSONL.")],
    datastore: str = "main",
    base: str = "minilm",
    held: Annotated[float, typer.Option(min=0, max=1, help="Share of documents held out of training.")] = 0.5,
    margin: Annotated[float, typer.Option(help="A negative scores at least so much below the positive.")] = 0.05,
    count: Annotated[int, typer.Option(min=1, help="At most so many pairs.")] = 100_000,
) -> None:
    """Make training pairs with mined hard negatives from the owners' questions and passages."""
    from itertools import islice

    from services.retrieval.datastore.catalogue import open_datastores
    from services.retrieval.encoders.base import describe, load
    from services.retrieval.training import pairs

    home = candor_home()
    with explained(FileNotFoundError):
        card = describe(base, home)
    found = {store.id: store for store in open_datastores(home / "retrieval", card)}
    if datastore not in found:
        raise Failure(f"--datastore: there is no datastore {datastore!r}: run `candor data build`.")
    for owner in owners:
        if owner not in found[datastore].owners:
            raise Failure(f"--owner: datastore {datastore!r} has nothing of owner {owner!r}.")
    asked = pairs.questions(home / "questions", owners)
    made = pairs.build_pairs(found[datastore].of(owners), load(card), asked, held=held, margin=margin)
    written = 0
    with data.open("w", encoding="utf-8") as file:
        for pair in islice(made, count):
            file.write(json.dumps(asdict(pair), ensure_ascii=False) + "\n")
            written += 1
    out.print(f"{written} pairs in {data}.", soft_wrap=True)


@commands.command()
def train(
    *,
    data: Data,
    folder: Annotated[Path, typer.Option("--out", help="Folder of the new encoder.")],
    base: str = "minilm",
    steps: Annotated[int, typer.Option(min=1)] = 1000,
    batch: Annotated[int, typer.Option(min=2)] = 256,
    mini_batch: Annotated[int, typer.Option(min=1)] = 32,
    max_tokens: Annotated[int, typer.Option(min=8)] = 256,
    seed: int = 0,
) -> None:
    """Fine-tune an encoder on pairs; a run that was cut off continues from its last checkpoint."""
    from services.retrieval.training.pairs import Pair
    from services.retrieval.training.train import Recipe
    from services.retrieval.training.train import train as run

    with explained(FileNotFoundError):
        pairs = [Pair(**json.loads(line)) for line in data.read_text(encoding="utf-8").splitlines()]
    if len(pairs) < 2:
        raise Failure(f"--data: {data} has {len(pairs)} pairs; training needs at least 2.")
    losses = run(
        candor_home() / "models" / base, pairs, folder, Recipe(steps, batch, mini_batch, max_tokens, seed=seed)
    )
    out.print(f"Encoder in {folder}; loss {losses[0]:.3f} at first, {losses[-1]:.3f} at last.", soft_wrap=True)


@commands.command()
def evaluate(
    *,
    tuned: Annotated[Path, typer.Option(help="Folder of the tuned encoder.")],
    owners: Annotated[list[str], typer.Option("--owner", help="Whose questions to ask. May be repeated.")],
    datastore: str = "main",
    base: str = "minilm",
    held: Annotated[float, typer.Option(min=0, max=1, help="As it was for build-pairs.")] = 0.5,
    count: Annotated[int, typer.Option(min=1, help="At most so many questions.")] = 500,
    passages: Annotated[int, typer.Option(min=1, help="Search among at most so many, the gold ones with them.")] = 5000,
) -> None:
    """Compare a tuned encoder with its base on questions of held-out documents."""
    from services.retrieval.datastore.catalogue import open_datastores
    from services.retrieval.encoders.base import describe, load
    from services.retrieval.training import evaluate as measure
    from services.retrieval.training.pairs import questions

    home = candor_home()
    with explained(FileNotFoundError):
        cards = [describe(base, home), describe(tuned.name, tuned.resolve().parents[1])]
    found = {store.id: store for store in open_datastores(home / "retrieval", cards[0])}
    if datastore not in found:
        raise Failure(f"--datastore: there is no datastore {datastore!r}: run `candor data build`.")
    asked = questions(home / "questions", owners)
    sample = measure.sample(found[datastore].of(owners), asked, held=held, count=count, passages=passages)
    if not sample.asked:
        raise Failure("--owner: no question of these owners has a held-out document in the datastore.")
    before, after = (measure.ranks(load(card), sample) for card in cards)
    out.print(f"{len(sample.asked)} questions among {len(sample.texts)} passages")
    for name, figure in measure.FIGURES.items():
        low, high = measure.interval(figure(after) - figure(before))
        was, now = figure(before).mean(), figure(after).mean()
        out.print(f"{name}: {was:.3f} -> {now:.3f}, difference in [{low:+.3f}, {high:+.3f}]", highlight=False)
