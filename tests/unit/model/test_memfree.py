"""MemFree decoding: what the filter blocks, against every n-gram listed, and what an engine then never says."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from services.model.engines.base import Generation, Sampling, Unsupported
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.memfree import NgramFilter
from services.model.engines.sampling import choose, random_numbers
from services.model.engines.transformers import Limits, TransformersEngine
from services.model.engines.vllm.engine import VllmEngine
from services.model.protected import NothingToProtect, ProtectedTexts
from tests.unit.model.tiny import END, EVERY, build, letters, run

tokens = st.lists(st.integers(0, 2), max_size=30)


def ngrams(texts: Sequence[Sequence[int]], n: int) -> set[tuple[int, ...]]:
    return {tuple(text[at : at + n]) for text in texts for at in range(len(text) - n + 1)}


@settings(deadline=None)
@given(st.lists(tokens, max_size=4), tokens, st.integers(2, 5))
def test_a_token_is_blocked_if_it_would_complete_an_ngram_of_one_text(
    texts: list[list[int]], before: list[int], n: int
) -> None:
    known, found = ngrams(texts, n), NgramFilter(texts, n)
    assert len(found) == sum(max(0, len(text) - n + 1) for text in texts)
    last = tuple(before[len(before) - n + 1 :]) if len(before) >= n - 1 else None
    assert found.blocked(before) == {token for token in range(3) if last is not None and (*last, token) in known}


def test_a_filter_of_many_tokens_is_as_exact() -> None:
    texts = torch.randint(0, 3, (20, 8_000), generator=torch.Generator().manual_seed(0)).tolist()
    found, known = NgramFilter(texts), ngrams(texts, 10)
    for at in range(0, 2000, 7):
        before = texts[at % 20][at : at + 9]
        assert found.blocked(before) == {token for token in range(4) if (*before, token) in known}


def test_a_blocked_token_is_never_chosen_and_the_reported_log_probability_is_the_models() -> None:
    logits = torch.randn(1, 50, generator=torch.Generator().manual_seed(0))
    best = int(logits.argmax())
    for sampling in (Sampling(1, temperature=0), Sampling(1, temperature=2.0), Sampling(1, logit_bias={best: 100.0})):
        found = choose(logits, [sampling], [random_numbers(1, 0)], [{best}])
        assert found.tokens != [best]
        assert found.logprobs[0] == pytest.approx(float(logits.log_softmax(-1)[0, found.tokens[0]]), abs=1e-5)


def test_an_engine_says_no_ngram_of_what_it_would_have_said_and_others_are_not_disturbed() -> None:
    engine = TransformersEngine(Checkpoint(build("olmoe")), letters, Limits(threads=1))
    try:
        endless = {END: -1e9}
        plain = Generation((5, 6, 7), EVERY, Sampling(60, temperature=0, logit_bias=endless))
        said = run(engine, plain)[0].tokens()
        avoid = (NgramFilter([[5, 6, 7, *said]], 4),)
        free = Generation((5, 6, 7), EVERY, Sampling(60, temperature=0, logit_bias=endless, avoid=avoid))
        first, second = run(engine, free, plain)
        assert second.tokens() == said
        whole = [5, 6, 7, *first.tokens()]
        assert len(whole) == 63
        assert not ngrams([whole], 4) & ngrams([[5, 6, 7, *said]], 4)
    finally:
        engine.close()


def test_filters_are_of_all_of_an_owners_documents_and_made_anew_when_these_change(tmp_path: Path) -> None:
    def encode(text: str) -> list[int]:
        return list(text.encode())

    protected = ProtectedTexts(tmp_path, encode)
    with pytest.raises(NothingToProtect, match="'papers'"):
        protected.of("papers")
    (tmp_path / "papers").mkdir()
    file = tmp_path / "papers" / "one.jsonl"
    file.write_text(json.dumps({"id": "a", "split": "train", "text": "the whole of a text"}) + "\n")
    found = protected.of("papers")
    assert found.blocked(encode("the whole")) == {ord(" ")}
    assert protected.of("papers") is found
    with file.open("a") as lines:
        lines.write(json.dumps({"id": "b", "split": "heldout", "text": "the wholesale of a text"}) + "\n")
    assert protected.of("papers").blocked(encode("the whole")) == {ord(" "), ord("s")}


def test_vllm_refuses_it_before_anything_is_sent() -> None:
    engine = VllmEngine.__new__(VllmEngine)
    request = Generation((1,), EVERY, Sampling(1, avoid=(NgramFilter([range(20)]),)))
    with pytest.raises(Unsupported, match="MemFree"):
        engine.submit(request, lambda _: None)
