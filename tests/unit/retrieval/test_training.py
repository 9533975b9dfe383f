"""Pairs, the split, and what is measured of an encoder."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.gain import gains
from services.retrieval.datastore.catalogue import Catalogue
from services.retrieval.datastore.segment import Segment
from services.retrieval.datastore.writer import Writer
from services.retrieval.training.evaluate import Judged, judged, rankings, sample
from services.retrieval.training.pairs import (
    BadPairs,
    Pair,
    Question,
    build_pairs,
    hard_negative,
    questions,
    read_pairs,
)
from services.retrieval.training.pool import pool
from services.retrieval.training.split import held_out
from tests.retrieval_support import HashingEncoder, datastore

ANIMALS = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen", "ibis", "jay", "kite", "lark"]
TEXTS = [f"the {animal} sleeps by day and the {animal} hunts by night" for animal in ANIMALS]
ASKED = [Question(f"when hunts the {animal}", f"papers-source:{n}", "papers") for n, animal in enumerate(ANIMALS)]
PAIR = Pair("q", "right", "wrong", "question", "papers", "d", "MIT", "e", 0.5)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    datastore(tmp_path, {"papers": TEXTS, "secret": TEXTS})
    return tmp_path


def papers(home: Path) -> list[Segment]:
    found = Catalogue(home / "retrieval", HashingEncoder.card).get("main")
    assert found
    return found.of(["papers"])


def made(home: Path, held: float, margin: float = 0.05) -> list[Pair]:
    return list(build_pairs(papers(home), HashingEncoder(), ASKED, held=held, margin=margin))


@given(st.lists(st.tuples(st.floats(-1, 1, width=32), st.booleans()), min_size=1), st.floats(-1, 1))
def test_a_hard_negative_is_the_best_allowed_passage_below_the_limit(
    passages: list[tuple[float, bool]], limit: float
) -> None:
    scores = np.array([score for score, _ in passages], np.float32)
    chosen = hard_negative(scores, np.array([allowed for _, allowed in passages]), limit)
    fit = [score for score, allowed in passages if allowed and score <= limit]
    assert (None if chosen is None else scores[chosen]) == max(fit, default=None)
    assert chosen is None or passages[chosen][1]


def test_about_the_share_of_documents_is_held_out() -> None:
    held = sum(held_out(f"squad:{number}", 0.3) for number in range(5000))
    assert 1350 < held < 1650
    assert not held_out("a", 0)
    assert held_out("a", 1)


def test_only_questions_of_the_owners_that_stand_alone_are_asked(tmp_path: Path) -> None:
    rows = [
        {"question": "kept", "owner": "a", "document": "d", "standalone": True},
        {"question": "of another", "owner": "b", "document": "d", "standalone": True},
        {"question": "needs context", "owner": "a", "document": "d", "standalone": False},
        {"question": "no document", "owner": "a", "document": None, "standalone": True},
    ]
    (tmp_path / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert questions(tmp_path, ["a"]) == [Question("kept", "d", "a")]


def test_a_pair_is_a_question_its_passage_and_the_nearest_other_that_is_not_too_near(home: Path) -> None:
    encoder = HashingEncoder()
    found = {pair.query: pair for pair in made(home, held=0)}
    assert found
    for question, text in zip(ASKED, TEXTS, strict=True):
        scores = encoder.encode(TEXTS) @ encoder.encode([question.text])[0]
        right = scores[TEXTS.index(text)]
        far = [n for n, other in enumerate(TEXTS) if other != text and scores[n] <= right - 0.05]
        if not far:
            assert question.text not in found
            continue
        pair = found[question.text]
        assert (pair.positive, pair.document, pair.owner) == (text, question.document, "papers")
        nearest = max(far, key=lambda n: float(scores[n]))
        assert (pair.negative, pair.negative_document) == (TEXTS[nearest], f"papers-source:{nearest}")


def test_nothing_of_a_document_that_is_held_out_is_in_the_pairs(home: Path) -> None:
    found = made(home, held=0.5, margin=-2)
    assert found
    documents = [document for pair in found for document in (pair.document, pair.negative_document)]
    assert not any(held_out(document, 0.5) for document in documents if document)
    asked = judged(pool(papers(home)), ASKED, lambda one: held_out(one.document, 0.5))
    assert asked.queries
    assert not {*asked.queries.values()} & {pair.query for pair in found}


def test_a_document_that_was_deleted_is_neither_trained_on_nor_asked_for_nor_searched(home: Path) -> None:
    before = made(home, held=0, margin=-2)
    assert len(before) == len(ASKED)
    victim = before[0].negative_document
    assert victim is not None
    catalogue = Catalogue(home / "retrieval", HashingEncoder.card)
    main = catalogue.get("main")
    assert main
    assert Writer(home / "retrieval", catalogue, HashingEncoder()).delete(main, "papers", victim)
    after = made(home, held=0, margin=-2)
    assert len(after) == len(ASKED) - 1
    assert not any(victim in (pair.document, pair.negative_document) for pair in after)
    asked = judged(pool(papers(home)), ASKED, lambda _: True)
    assert len(asked.queries) == len(ASKED) - 1
    assert f"papers/{victim}" not in asked.documents


def test_what_was_not_written_to_its_end_is_refused_by_its_line(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    line = json.dumps(asdict(PAIR))
    file.write_text(f"{line}\n{line[:30]}")
    with pytest.raises(BadPairs, match=r"line 2 was not written to its end: remove it"):
        read_pairs(file)
    file.write_text(f'{line}\n{{"query": "q"}}\n{line}\n')
    with pytest.raises(BadPairs, match=r"line 2 is not a pair .*positive"):
        read_pairs(file)
    file.write_text(json.dumps(asdict(PAIR) | {"model": "provenance"}) + "\n")
    assert read_pairs(file) == [PAIR]
    with pytest.raises(BadPairs, match="build-pairs"):
        read_pairs(tmp_path / "absent.jsonl")


documents = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12)


@given(documents, st.integers(1, 8))
def test_a_document_ranks_by_the_cosine_of_its_best_passage(of: list[str], depth: int) -> None:
    texts = [f"{document} {number}" for number, document in enumerate(of)]
    encoder = HashingEncoder()
    (found,) = rankings(encoder, Judged({"q": "a 1"}, {"q": {"a": 1}}, texts, of), depth).values()
    scores = encoder.encode(texts) @ encoder.encode(["a 1"])[0]
    best = {name: max(score for score, whose in zip(scores, of, strict=True) if whose == name) for name in set(of)}
    assert len(found) == min(depth, len(best))
    np.testing.assert_allclose([best[name] for name in found], sorted(best.values(), reverse=True)[:depth], atol=1e-6)


@given(documents, st.integers(1, 4), st.integers(1, 12), st.integers(0, 99))
def test_a_sample_has_every_passage_of_the_documents_judged_for_its_questions(
    of: list[str], count: int, passages: int, seed: int
) -> None:
    texts = [f"{document} {number}" for number, document in enumerate(of)]
    whole = Judged({f"q{name}": name for name in set(of)}, {f"q{name}": {name: 1} for name in set(of)}, texts, of)
    drawn = sample(whole, count=count, passages=passages, seed=seed)
    assert len(drawn.queries) == min(count, len(set(of)))
    gold = {name for query in drawn.queries for name in drawn.judgements[query]}
    needed = {text for text, name in zip(texts, of, strict=True) if name in gold}
    assert needed <= set(drawn.texts)
    assert len(drawn.texts) == min(len(texts), max(passages, len(needed)))
    assert {*zip(drawn.texts, drawn.documents, strict=True)} <= {*zip(texts, of, strict=True)}


def test_the_gain_is_the_mean_of_the_questions_differences() -> None:
    judgements = {"one": {"a": 1}, "two": {"b": 1, "c": 1}}
    before = {"one": ["x", "a"], "two": ["x", "y"]}
    after = {"one": ["a", "x"], "two": ["x", "b", "y", "c"]}
    lines = dict(line.split(": ") for line in gains(judgements, before, after))
    assert lines["recall@1"].startswith("0.000 -> 0.500, difference +0.500")
    assert lines["recall@10"].startswith("0.500 -> 1.000, difference +0.500")
    assert lines["MRR@10"].startswith("0.250 -> 0.750, difference +0.500")
    # 1/log2(3) before; after, 1 and (1/log2(3) + 1/log2(5)) / (1 + 1/log2(3))
    assert lines["nDCG@10"].startswith("0.315 -> 0.825, difference +0.510 [+0.369, +0.651]")


def test_held_of_several_files_is_the_least() -> None:
    from services.retrieval.training.record import Recipe, Record

    record = Record.of(HashingEncoder.card, [PAIR, replace(PAIR, held=0.2)], Recipe(1, 2, 2, 8))
    assert record.held == 0.2
    for number in range(100):
        document = f"d{number}"
        assert record.saw("papers", document) != held_out(document, 0.2)
        assert not record.saw("secret", document)
