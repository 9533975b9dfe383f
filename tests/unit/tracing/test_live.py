"""Adding, replacing, deleting and merging documents: always as if only what is left had ever been there."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tracing.catalogue import Catalogue
from services.tracing.index import log, merging
from services.tracing.index.corpus import FILE
from services.tracing.index.writer import NotChangeable, Writer
from services.tracing.tokenizer import Tokenizer
from tests.unit.tracing.live import WORDS, answers, documents, empty, held, opened

IDS = st.sampled_from([f"d{number}" for number in range(8)])
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join)
STEPS = st.one_of(
    st.dictionaries(IDS, TEXTS, min_size=1, max_size=3),
    IDS,
    st.sampled_from([True]),  # merge
    st.sampled_from([None]),  # drop
)


@pytest.mark.parametrize("fan", [2, 8])
@settings(max_examples=25, deadline=None)
@given(
    built=st.dictionaries(IDS, TEXTS, max_size=4),
    steps=st.lists(STEPS, min_size=1, max_size=14),
    reopened=st.booleans(),
)
def test_any_changes_leave_the_answers_of_a_corpus_built_of_what_is_left(
    fan: int, tokenizer: Tokenizer, built: dict[str, str], steps: list[object], reopened: bool
) -> None:
    with TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patched:
        patched.setattr(merging, "FAN", fan)
        root = Path(place) / "tracing"
        empty(root, tokenizer, built)
        catalogue, writer = opened(root, tokenizer)
        left = dict(built)
        for step in steps:
            change(writer, tokenizer, step, left)
            assert held(catalogue) == left
        if reopened:
            catalogue, _ = opened(root, tokenizer)
        fresh = Path(place) / "fresh"
        empty(fresh, tokenizer, left)
        text = "the heron waits for fish at dawn and the crane sleeps. the heron sleeps"
        mine, theirs = ([*one.select(["papers"], None).segments] for one in (catalogue, opened(fresh, tokenizer)[0]))
        assert answers(mine, tokenizer, text) == answers(theirs, tokenizer, text)
        named = (
            catalogue.look("papers").manifest.numbers
            if "papers" in [one.manifest.id for one in catalogue.all()]
            else {}
        )
        assert {path.name for path in (root / "papers").iterdir() if path.is_dir()} == set(named)


def change(writer: Writer, tokenizer: Tokenizer, step: object, left: dict[str, str]) -> None:
    """Make a change of the corpus, and of the dict that is its specification."""
    if isinstance(step, dict):
        replaced = writer.add("papers", documents(step, tokenizer)).ids
        assert set(replaced) == step.keys() & left.keys()
        left.update(step)
    elif isinstance(step, str):
        assert writer.delete("papers", step) == (left.pop(step, None) is not None)
    elif step is None:
        writer.drop("papers")
        left.clear()
    else:
        writer.merge("papers")


@pytest.fixture
def corpus(tmp_path: Path, tokenizer: Tokenizer) -> tuple[Path, Catalogue, Writer]:
    """One with a built document and an added one."""
    root = tmp_path / "tracing"
    empty(root, tokenizer, {"a": "the heron waits", "b": "for fish"})
    catalogue, writer = opened(root, tokenizer)
    writer.add("papers", documents({"c": "at dawn"}, tokenizer))
    return root, catalogue, writer


def test_a_request_keeps_the_corpora_that_it_began_with(
    corpus: tuple[Path, Catalogue, Writer], tokenizer: Tokenizer
) -> None:
    _, catalogue, writer = corpus
    before = catalogue.select(["papers"], None)
    expected = answers([*before.segments], tokenizer, "the heron waits at dawn")
    untouched = before.segments[0]
    writer.add("papers", documents({"d": "the crane"}, tokenizer))
    assert catalogue.select(["papers"], None).segments[0] is untouched
    writer.drop("papers")
    assert answers([*before.segments], tokenizer, "the heron waits at dawn") == expected
    assert catalogue.select(["papers"], None).absent == ["papers"]


def test_another_process_sees_a_change_at_its_next_request(
    corpus: tuple[Path, Catalogue, Writer], tokenizer: Tokenizer
) -> None:
    root, _, writer = corpus
    other, _ = opened(root, tokenizer)
    assert set(held(other)) == {"a", "b", "c"}
    writer.delete("papers", "a")
    writer.add("papers", documents({"b": "the crane"}, tokenizer))
    assert held(other) == {"b": "the crane", "c": "at dawn"}


@pytest.mark.parametrize("harm", ["cut", "flip", "remove", "manifest", "no manifest"])
def test_a_corpus_is_left_out_if_it_is_not_known_what_was_deleted(
    harm: str, corpus: tuple[Path, Catalogue, Writer], tokenizer: Tokenizer
) -> None:
    root, _, writer = corpus
    writer.delete("papers", "a")
    file = root / "papers" / (FILE if "manifest" in harm else log.FILE)
    data = file.read_bytes()
    if harm in ("remove", "no manifest"):
        file.unlink()
    else:
        file.write_bytes(data[:-1] if harm != "flip" else bytes([data[0] ^ 1]) + data[1:])
    catalogue, writer = opened(root, tokenizer)
    assert catalogue.select(["papers"], None).segments == []
    assert any("papers" in warning and "deleted" in warning for warning in catalogue.now().warnings)
    refused: list[Callable[[], bool]] = [lambda: writer.delete("papers", "b"), lambda: writer.drop("papers")]
    for attempt in refused:
        with pytest.raises(log.BadCorpus, match="not known what was deleted"):
            attempt()


def test_a_damaged_segment_is_named_and_does_not_bring_back_what_it_replaced(
    corpus: tuple[Path, Catalogue, Writer], tokenizer: Tokenizer
) -> None:
    root, catalogue, writer = corpus
    writer.add("papers", documents({"a": "the crane"}, tokenizer))
    victim = root / "papers" / catalogue.look("papers").manifest.added[-1].name
    (victim / "tokens.bin").unlink()
    other, writer = opened(root, tokenizer)
    assert set(held(other)) == {"b", "c"}
    assert any(victim.name in warning for warning in other.now().warnings)
    assert writer.delete("papers", "a")  # it may be in there


def test_what_was_built_with_another_tokenizer_takes_no_additions_but_can_be_deleted(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    empty(tmp_path, tokenizer, {"a": "the heron waits", "b": "the crane sleeps"})
    other = Tokenizer(None)
    _, writer = opened(tmp_path, other)
    with pytest.raises(NotChangeable, match="another tokenizer"):
        writer.add("papers", documents({"c": "for fish"}, other))
    assert writer.delete("papers", "a")
    assert held(opened(tmp_path, tokenizer)[0]) == {"b": "the crane sleeps"}
    assert writer.drop("papers")
    assert not [path for path in (tmp_path / "papers").iterdir() if path.is_dir()]


def test_a_long_takedown_list_is_looked_up_at_once_and_keeps_no_one_waiting_after_a_change(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    root, blocked = tmp_path / "tracing", tmp_path / "blocked.jsonl"
    empty(root, tokenizer, {"a": "the heron waits"})
    lines = [{"url" if number % 2 else "id": f"none-{number}"} for number in range(20_000)]
    lines += [{"id": "a"}, {"url": "https://x/d1", "corpus": "papers"}, {"id": "d2", "corpus": "news"}]
    blocked.write_text("".join(json.dumps(line) + "\n" for line in lines))
    catalogue, writer = opened(root, tokenizer, blocked)
    began = time.perf_counter()
    for number in range(7):
        writer.add("papers", documents({f"d{number}": "the crane sleeps"}, tokenizer))
        catalogue.now()
    assert set(held(catalogue)) == {"d0", "d2", "d3", "d4", "d5", "d6"}
    assert time.perf_counter() - began < 10  # looked up line by line, it was a minute


def test_a_deleted_documents_text_leaves_the_disk_with_the_merge(
    corpus: tuple[Path, Catalogue, Writer], tokenizer: Tokenizer
) -> None:
    root, _, writer = corpus
    needle = tokenizer.encode("the heron waits").ids.tobytes()

    def stored() -> bool:
        return any(needle in path.read_bytes() for path in root.rglob("tokens.bin"))

    assert stored()
    writer.delete("papers", "a")
    writer.merge("papers")
    assert not stored()


def test_many_additions_leave_few_segments(corpus: tuple[Path, Catalogue, Writer], tokenizer: Tokenizer) -> None:
    _, catalogue, writer = corpus
    expected = held(catalogue)
    for number in range(40):
        expected[f"n{number}"] = f"the heron waits {number}"
        writer.add("papers", documents({f"n{number}": f"the heron waits {number}"}, tokenizer))
        writer.merge("papers")
    assert len(catalogue.look("papers").manifest.added) <= 2 * merging.FAN
    assert held(catalogue) == expected
