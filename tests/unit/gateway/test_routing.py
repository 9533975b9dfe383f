"""What the gateway makes of a routing: the registry's owners, and a refusal when an expert left out took part."""

from typing import Any

import pytest

from gateway.pipeline.routing import by_registry
from gateway.policy import ConsentNotApplied, Policy
from shared.contracts.routing import TextRouting
from shared.owners import Owner


def owner(name: str, *experts: str, public: bool = False) -> Owner:
    return Owner(id=name, name=name, licence="CC0-1.0", contact="x", public=public, experts=list(experts))


OWNERS = [owner("world", public=True), owner("clinic", "heart", "lung"), owner("press", "news")]


def routing(**changes: Any) -> TextRouting:
    body = {
        "model": "candor",
        "candor": {"experts": ["public", "heart", "lung"], "vocabulary": 9},
        "active": 2,
        "text": "ab",
        "tokens": [{"id": 5, "token": "a", "start": 0, "end": 1}, {"id": 6, "token": "b", "start": 1, "end": 2}],
        "shares": {"experts": {"public": 0.5, "heart": 0.3, "lung": 0.2, "news": 0}, "owners": {"someone": 1}},
        "by_layer": {"experts": {"public": [0.5], "heart": [0.25], "lung": [0.25], "news": [0]}, "owners": {}},
        "by_token": {"experts": {"public": [0, 1], "heart": [0.5, 0], "lung": [0.5, 0], "news": [0, 0]}, "owners": {}},
    }
    return TextRouting.model_validate(body | changes)


def test_an_owners_share_is_that_of_its_experts_as_the_registry_has_them() -> None:
    found = by_registry(routing(), Policy(OWNERS).named(["clinic"]))
    assert found.shares.owners == {"clinic": pytest.approx(0.5)}
    assert (found.by_layer.owners, found.by_token.owners) == ({"clinic": [0.5]}, {"clinic": [1, 0]})


@pytest.mark.parametrize(
    "lie",
    [
        {"candor": {"experts": ["public", "news"], "vocabulary": 9}},
        {"shares": {"experts": {"public": 0.9, "news": 0.1}, "owners": {}}},
        {"by_layer": {"experts": {"public": [0.9], "news": [0.1]}, "owners": {}}},
        {"by_token": {"experts": {"public": [1, 0.9], "news": [0, 0.1]}, "owners": {}}},
        {"chosen": [[["public"]], [["public", "news"]]]},
    ],
)
def test_an_expert_left_out_that_took_part_anywhere_refuses_the_answer(lie: dict[str, Any]) -> None:
    with pytest.raises(ConsentNotApplied, match="news"):
        by_registry(routing(**lie), Policy(OWNERS).named(["clinic"]))
