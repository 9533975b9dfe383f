"""A property check: `python -m bench.tracing.same [--rounds N]`.

Over random small corpora, random queries have the same answers from the peer, from Candor, from Candor over the peer's
files, and from brute force: count, find, attribute, and what follows a context.

Each corpus has real sentences that repeat, some with an end of their own, in one to three segments; queries are
stretches of them, some with a token exchanged. The peer has two faults here, which `brute` knows and this counts.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.tracing import ours, peer, sources
from bench.tracing.brute import Brute
from bench.tracing.corpus import Texts
from bench.tracing.indexes import Index
from bench.tracing.peer import Peer
from bench.tracing.protocol import EOS, Worker
from bench.tracing.rules import Rules, rules
from services.tracing.tokenizer import Tokenizer
from shared.settings import candor_home

QUERIES = 60
MOST = (1, 3, 10, 1_000_000)
PEER = "infini-gram"


class Different(AssertionError):
    """Two answers that should be the same are not. The message has the question and both."""


def main() -> None:
    """Check some rounds; exit with 1 and the first difference."""
    parser = argparse.ArgumentParser(prog="python -m bench.tracing.same", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    home = candor_home()
    python, tokenizer = peer.environment(home), ours.tokenizer()
    lines = (line for text in islice(sources.pulled(home), 400) for line in text.split("\n"))
    sentences = [line for line in lines if 20 < len(line) < 300]
    checked: Counter[str] = Counter()
    with TemporaryDirectory() as folder:
        for number in range(arguments.rounds):
            try:
                checked += _round(Path(folder) / f"round-{number}", python, tokenizer, sentences, random.Random(number))
            except Different as error:
                sys.exit(f"round {number}: {error}")
    print(", ".join(f"{count:,} {what}" for what, count in checked.items()), "the same")


def _round(
    folder: Path, python: Path, tokenizer: Tokenizer, sentences: Sequence[str], draw: random.Random
) -> Counter[str]:
    folder.mkdir()
    parts = Texts(folder / "texts").make(_documents(sentences, draw), (), (1 << 30,), tokenizer)
    index = Index(folder / "index", parts, draw.randint(1, 3))
    index.build_ours()
    index.build_peer(python)
    documents = iter([ids.tolist() for ids in parts[0].documents()])
    segments = [list(islice(documents, count)) for count, _ in ours.segments_of(index.ours)]
    by = rules([tokenizer.decode([identity]) for identity in range(tokenizer.size)])
    engine = Peer(python, folder, by)
    brute = Brute(segments, EOS)
    queries, texts = list(_queries(segments, draw, QUERIES)), list(_texts(segments, draw))
    with ours.process() as mine, ours.process() as over_peers, engine.process() as theirs:
        mine.ask("open", folder=str(index.ours))
        over_peers.ask("open_peers", folder=str(index.peer))
        engine.open(theirs, index.peer, len(segments))
        for who, worker in (("Candor", mine), ("Candor over infini-gram's files", over_peers), (PEER, theirs)):
            _found(brute, who, worker, index, queries)
            _next(brute, who, worker, queries)
            _spans(brute, who, worker, texts, by)
        _chances(brute, theirs, queries, draw)
    asked = dict.fromkeys(("count", "find", "ntd", "infgram_ntd", "infgram_prob"), len(queries))
    faults = sum(brute.following(ids) != brute.following(ids, as_peer=True) for ids in queries)
    return Counter(asked | {"attribute": len(texts) * len(MOST), "ntd with the peer's fault": faults})


def _found(brute: Brute, who: str, worker: Worker, index: Index, queries: list[list[int]]) -> None:
    found = worker.ask("find", queries=queries, repeats=1)
    counts = worker.ask("count", queries=queries, repeats=1)["counts"]
    if who == PEER:
        places = [_listed(_places(index.peer, ranks)) for ranks in found["ranks"]]
    else:
        places = worker.ask("places", queries=queries)
    for number, ids in enumerate(queries):
        right = _listed(brute.places(ids))
        _equal(f"{who}: count", ids, len(right), counts[number])
        _equal(f"{who}: find", ids, len(right), found["counts"][number])
        _equal(f"{who}: places", ids, right, places[number])


def _next(brute: Brute, who: str, worker: Worker, contexts: list[list[int]]) -> None:
    answers = worker.ask("next_tokens", contexts=contexts)
    for context, answer in zip(contexts, answers, strict=True):
        length = brute.suffix(context)
        right = [_listed(brute.following(ids, as_peer=who == PEER)) for ids in (context, _last(context, length))]
        _equal(f"{who}: ntd", context, right[0], answer["exact"])
        _equal(f"{who}: infgram_ntd", context, [right[1], length], [answer["backed"], answer["suffix"]])


def _chances(brute: Brute, worker: Worker, contexts: list[list[int]], draw: random.Random) -> None:
    following = [draw.choice(draw.choice(contexts)) for _ in contexts]
    chances = worker.ask("probabilities", contexts=contexts, following=following)
    for context, token, chance in zip(contexts, following, chances, strict=True):
        length = brute.suffix(context)
        right = [_share(brute, ids, token) for ids in (context, _last(context, length))]
        _equal(f"{PEER}: infgram_prob", (context, token), [*right, length], chance)


def _spans(brute: Brute, who: str, worker: Worker, texts: list[list[int]], by: Rules) -> None:
    for ids in texts:
        for most in MOST:
            right = brute.spans(np.array(ids, dtype=np.uint16), by, most, as_peer=who == PEER)
            _equal(
                f"{who}: attribute", (ids, most), _listed(right), worker.ask("spans", ids=ids, max_count=most)["spans"]
            )


def _last(context: list[int], length: int) -> list[int]:
    return context[len(context) - length :]


def _share(brute: Brute, context: list[int], token: int) -> float:
    """The probability of a token after a context: of the empty one, among all tokens and ends of documents."""
    counts = brute.following(context)
    total = sum(count for _, count in counts)
    return dict(counts).get(token, 0) / total if total else -1.0


def _places(folder: Path, ranks: list[list[int]]) -> list[tuple[int, int, int]]:
    """From rank ranges in the peer's files to places."""
    found = []
    for shard, (low, high) in enumerate(ranks):
        offsets = np.fromfile(folder / f"offset.{shard}", dtype=np.uint64)
        tokens = (folder / f"tokenized.{shard}").stat().st_size // 2
        table = np.fromfile(folder / f"table.{shard}", dtype=np.uint8).reshape(tokens, -1)
        for pointer in (int.from_bytes(row.tobytes(), "little") for row in table[low:high]):
            document = int(np.searchsorted(offsets, pointer, side="right")) - 1
            found.append((shard, document, (pointer - int(offsets[document])) // 2 - 1))
    return sorted(found)


def _documents(sentences: Sequence[str], draw: random.Random) -> Iterator[str]:
    few = draw.sample(sentences, 12)
    for _ in range(draw.randint(6, 30)):
        chosen = draw.choices(few, k=draw.randint(1, 4))
        text = draw.choice(("\n", " ", "")).join(chosen)
        yield text[: draw.randint(len(text) // 2, len(text))]


def _queries(segments: Sequence[Sequence[list[int]]], draw: random.Random, count: int) -> Iterator[list[int]]:
    documents = [tokens for documents in segments for tokens in documents]
    for number in range(count):
        tokens = draw.choice(documents)
        at = draw.randrange(len(tokens))
        ids = tokens[at : at + draw.choice((1, 2, 3, 5, 8, 13, 40))]
        if number % 3 == 0:
            ids[draw.randrange(len(ids))] = draw.choice(draw.choice(documents))
        yield ids


def _texts(segments: Sequence[Sequence[list[int]]], draw: random.Random) -> Iterator[list[int]]:
    for _ in range(8):
        yield [token for ids in _queries(segments, draw, draw.randint(1, 12)) for token in ids]


def _listed(pairs: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(pair) for pair in pairs]


def _equal(what: str, question: object, right: object, given: object) -> None:
    if right != given:
        raise Different(f"{what} of {question}: {given} and not {right}")


if __name__ == "__main__":
    main()
