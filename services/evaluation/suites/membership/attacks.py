"""The attacks of the suite: what each needs of the endpoint, and its score from what was kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from services.evaluation.metrics import membership
from services.evaluation.suites.base import Kind, Separation

Attack = Literal[
    "loss", "reference", "zlib", "min_k", "min_k_plus_plus", "neighbourhood", "recall", "dc_pdd", "grad_norm"
]

ATTACKS: tuple[Attack, ...] = get_args(Attack)

METRICS: Mapping[str, Kind] = {f"auc_{attack}": Separation(attack, "member") for attack in ATTACKS}
"""Of each attack the AUC; the items' scores are lower for a member."""


def scores(text: str, details: Mapping[str, Any]) -> dict[str, float]:
    """Of each attack that has what it needs; `details` are those that `asking.ask` keeps."""
    logprobs = details["logprobs"]
    own = membership.loss(logprobs)
    found: dict[str, float] = {
        "loss": own,
        "zlib": membership.zlib_ratio(logprobs, text),
        "min_k": membership.min_k(logprobs),
    }
    if "own_means" in details:
        moments = details["own_means"], details["own_variances"]
        found["min_k_plus_plus"] = membership.min_k_plus_plus(logprobs, *moments)
    if "reference" in details:
        found["reference"] = membership.reference(own, details["reference"])
    if "neighbours" in details:
        found["neighbourhood"] = membership.neighbourhood(own, details["neighbours"])
    if "after_prefix" in details and own > 0:
        found["recall"] = membership.recall(own, details["after_prefix"])
    if "counts" in details:
        # as JSON keeps them, keys are strings
        counts = {int(token): count for token, count in details["counts"].items()}
        corpus = details["corpus_tokens"], details["vocabulary"]
        found["dc_pdd"] = membership.dc_pdd(details["tokens"], logprobs, counts, *corpus)
    if "gradient_norm" in details:
        found["grad_norm"] = details["gradient_norm"]
    wanted = details["attacks"]
    return {attack: found[attack] for attack in ATTACKS if attack in wanted and attack in found}
