"""The plots of `moe`, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from services.evaluation.statistics.intervals import bootstrap
from services.evaluation.suites.curve import with_intervals
from shared.contracts.evaluation import Item
from shared.contracts.figure import Figure, Heatmap, Plot, Series

Matrix = list[list[float]]


def plots(items: Iterable[Item], together: str) -> list[Figure]:
    """Of the documents by owner, and of the analyses of all texts, whose set is `together`."""
    documents: dict[str, list[Matrix]] = {}
    whole: Mapping[str, Any] | None = None
    saturations: dict[str, Mapping[str, Any]] = {}
    experts: list[str] = []
    for item in items:
        if item.status != "scored":
            continue
        experts = item.details["experts"]
        if item.set != together:
            documents.setdefault(item.set, []).append(item.details["specialisation"])
        elif (saturation := item.details["saturation"]) is not None:
            saturations[saturation["against"]] = saturation
        else:
            whole = item.details
    figures: list[Figure] = []
    if documents:
        figures += [_domains(documents, experts), _by_layer(documents, experts)]
    if whole is not None:
        figures += [_together(whole["co_activation"], experts), _vocabulary(whole["vocabulary"])]
    if saturations:
        figures.append(_saturation(saturations))
    return figures


def _domains(documents: Mapping[str, Sequence[Matrix]], experts: Sequence[str]) -> Heatmap:
    return Heatmap(
        title="Domain specialisation: share of tokens that an expert computes",
        x_title="expert",
        y_title="whose text",
        columns=list(experts),
        rows=list(documents),
        values=[
            [round(fmean(layer[at] for matrix in found for layer in matrix), 4) for at in range(len(experts))]
            for found in documents.values()
        ],
        note="Means over documents and layers; a row sums to the number of experts that compute a token. A share says "
        "who computed, not how much worse the model would be without.",
    )


def _by_layer(documents: Mapping[str, Sequence[Matrix]], experts: Sequence[str]) -> Plot:
    """The expert that computes most of an owner's text, by layer, with intervals over documents."""
    series = []
    for owner, found in documents.items():
        shares = [fmean(layer[at] for matrix in found for layer in matrix) for at in range(len(experts))]
        busiest = shares.index(max(shares))
        layers = len(found[0])
        points = [bootstrap([matrix[layer][busiest] for matrix in found], resamples=1000) for layer in range(layers)]
        series.append(with_intervals(f"{owner}: {experts[busiest]}", range(layers), points))
    return Plot(
        kind="line",
        title="The busiest expert of each owner's text, by layer",
        x_title="layer",
        y_title="share of tokens",
        series=series,
        note="Intervals are over documents.",
    )


def _together(co_activation: Mapping[str, Any], experts: Sequence[str]) -> Heatmap:
    """Mean over layers in which the expert computed anything."""
    layers = co_activation["shares"]

    def share(one: int, other: int) -> float | None:
        found = [layer[one][other] for layer in layers if layer[one][other] is not None]
        return round(fmean(found), 4) if found and one != other else None

    places = range(len(experts))
    return Heatmap(
        title="Co-activation: of the tokens of one expert, the share that another computes too",
        x_title="computed too by",
        y_title="tokens of",
        columns=list(experts),
        rows=list(experts),
        values=[[share(one, other) for other in places] for one in places],
        note="Over all pairs of the experts chosen for a token, mean over layers.",
    )


def _vocabulary(vocabulary: Mapping[str, Mapping[str, Any]]) -> Plot:
    kinds = [kind for kind, routing in vocabulary.items() if routing["by_layer"]]
    rare = ", ".join(f"{kind} {routing['rare_tokens']} of {routing['tokens']}" for kind, routing in vocabulary.items())
    return Plot(
        kind="line",
        title="Vocabulary specialisation by layer",
        x_title="layer",
        y_title="share of its most frequent expert",
        series=[
            Series(
                name=kind,
                x=[float(layer) for layer in range(len(vocabulary[kind]["by_layer"]))],
                y=list(vocabulary[kind]["by_layer"]),
            )
            for kind in kinds
        ],
        note=f"By the token routed, the next one, and the one predicted. Tokens of entries too rare to count: {rare}.",
    )


def _saturation(saturations: Mapping[str, Mapping[str, Any]]) -> Plot:
    return Plot(
        kind="line",
        title="Saturation: share of the served model's choices that another checkpoint makes too",
        x_title="layer",
        y_title="share of choices",
        series=[
            Series(
                name=f"{against}, {what}",
                x=[float(layer) for layer in range(len(found[key]))],
                y=list(found[key]),
            )
            for against, found in saturations.items()
            for key, what in (("by_layer", "all choices"), ("first", "first choice"))
        ],
        note="Against earlier checkpoints of the same training it shows how early the router settles; against any "
        "other model only how alike the two are.",
    )
