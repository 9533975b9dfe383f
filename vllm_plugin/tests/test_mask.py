"""A mask as text: what it may be, and how caches are told apart."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor_vllm.mask import BadMask, Masks, parse, public_experts, render, salt

ALLOWED = st.frozensets(st.integers(0, 7), min_size=1)
SALTS = st.none() | st.text()


@given(ALLOWED)
def test_a_mask_survives_its_text(allowed: frozenset[int]) -> None:
    assert parse(render(allowed), 8) == allowed


@given(st.text() | st.integers() | st.none())
def test_text_is_a_mask_of_known_experts_or_refused(text: object) -> None:
    try:
        allowed = parse(text, 4)
    except BadMask:
        return
    assert allowed
    assert allowed <= {0, 1, 2, 3}


@given(ALLOWED, ALLOWED, SALTS, SALTS)
def test_salts_are_equal_only_if_masks_and_the_clients_own_are(
    one: frozenset[int], other: frozenset[int], mine: str | None, yours: str | None
) -> None:
    assert (salt(render(one), mine) == salt(render(other), yours)) == (one == other and mine == yours)


def test_public_experts_are_those_without_an_owner(tmp_path: Path) -> None:
    assert public_experts(str(tmp_path), 3) == {0}
    card = tmp_path / "candor.json"
    card.write_text(json.dumps({"experts": [{"id": "public"}, {"id": "a", "owner": "a"}, {"id": "news"}]}))
    assert public_experts(str(tmp_path), 3) == {0, 2}
    with pytest.raises(ValueError, match="3 experts, but the model has 4"):
        public_experts(str(tmp_path), 4)
    card.write_text(json.dumps({"experts": [{"id": "a", "owner": "a"}]}))
    with pytest.raises(ValueError, match="belongs to an owner"):
        public_experts(str(tmp_path), 1)


@given(ALLOWED)
def test_a_row_forbids_all_that_the_mask_does_not_allow(allowed: frozenset[int]) -> None:
    masks = Masks(8, frozenset({0}))
    row = masks.row(SimpleNamespace(extra_args={"experts_on": render(allowed)}))
    assert set(np.flatnonzero(~row)) == allowed
    for silent in (None, SimpleNamespace(extra_args=None), SimpleNamespace(extra_args={"other": "1"})):
        assert set(np.flatnonzero(~masks.row(silent))) == {0}
