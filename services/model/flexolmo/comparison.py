"""The comparison of the merge with its baselines as tables in docs/experts.md and as JSON for machines."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.model.flexolmo.candidates import AVERAGE, DENSE, ENSEMBLE, MERGED, PUBLIC, TUNED, WEIGHTED
from services.model.flexolmo.compare import Measured
from services.model.flexolmo.perplexity import Change, Scores, change
from services.model.flexolmo.versus import accuracy_change, mean_change

BEGIN, END = "<!-- comparison: written by the command above -->", "<!-- end of comparison -->"

Comparison = Mapping[str, Measured]
"""By model; one is the public model."""


def tables(results: Comparison, owners: Sequence[str], shares: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> str:
    """Markdown: perplexities, the merge against each baseline, the questions, and the routers' shares.

    ``owners`` are those with an expert; ``shares[model][text]`` are routing shares, the public expert's first.
    """
    parts = [_perplexities(results, owners)]
    merges = [model for model in (MERGED, TUNED) if model in results]
    parts += [_against(results, owners, model) for model in merges]
    if results[PUBLIC].questions:
        asked = [model for model in merges if results[model].questions]
        parts += [_questions(results), *(_questions_against(results, model) for model in asked)]
    return "\n".join([*parts, _shares(shares, owners)])


def summary(
    results: Comparison, owners: Sequence[str], shares: Mapping[str, Mapping[str, NDArray[np.float64]]]
) -> dict[str, object]:
    """Every figure of the tables, with intervals."""
    merges = [model for model in (MERGED, TUNED) if model in results]
    return {
        "owners": list(owners),
        "perplexity": {
            model: {text: round(scores.perplexity, 4) for text, scores in found.texts.items()}
            for model, found in results.items()
        },
        "documents": {text: len(scores.tokens) for text, scores in results[PUBLIC].texts.items()},
        "tokens": {text: int(scores.tokens.sum()) for text, scores in results[PUBLIC].texts.items()},
        "merge_against": {
            merge: {
                model: {
                    **{
                        text: _numbers(change(results[model].texts[text], s))
                        for text, s in results[merge].texts.items()
                    },
                    "mean of the owners": _numbers(_mean(results, owners, model, merge)),
                }
                for model in _baselines(results, merge)
            }
            for merge in merges
        },
        "questions": {
            model: {
                name: {
                    "accuracy": None if answers.right is None else round(float(answers.right.mean()), 4),
                    "bits_per_token": round(float(np.log2(answers.gold.perplexity)), 4),
                    "items": len(answers.gold.tokens),
                }
                for name, answers in found.questions.items()
            }
            for model, found in results.items()
            if found.questions
        },
        "routing": {
            model: {text: [round(float(share), 4) for share in each] for text, each in found.items()}
            for model, found in shares.items()
        },
    }


def write(text: str, figures: Mapping[str, object], page: Path, file: Path) -> None:
    """Put ``text`` into ``page`` between its two marks, and ``figures`` into ``file`` (JSON)."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{text}{END}{rest.split(END)[1]}", encoding="utf-8")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _perplexities(results: Comparison, owners: Sequence[str]) -> str:
    texts = list(results[PUBLIC].texts)
    rows = [["perplexity", *texts, "mean of the owners"]]
    for model, found in results.items():
        cells = [f"{found.texts[text].perplexity:.2f}" for text in texts]
        mean = _mean(results, owners, PUBLIC, model)
        rows.append([model, *cells, "" if model == PUBLIC else _percent(mean)])
    return _table(rows)


def _against(results: Comparison, owners: Sequence[str], merge: str) -> str:
    texts = list(results[PUBLIC].texts)
    rows = [[f"{merge}, against", *texts, "mean of the owners"]]
    for model in _baselines(results, merge):
        cells = [_percent(change(results[model].texts[text], results[merge].texts[text])) for text in texts]
        rows.append([model, *cells, _percent(_mean(results, owners, model, merge))])
    return _table(rows)


def _questions(results: Comparison) -> str:
    names = list(results[PUBLIC].questions)
    rows = [["accuracy, bits a token of the right answer", *names]]
    for model, found in results.items():
        if found.questions:
            cells = []
            for name in names:
                answers = found.questions[name]
                accuracy = "" if answers.right is None else f"{answers.right.mean():.2f}, "
                cells.append(f"{accuracy}{np.log2(answers.gold.perplexity):.2f}")
            rows.append([model, *cells])
    return _table(rows)


def _questions_against(results: Comparison, merge: str) -> str:
    mine = results[merge].questions
    rows = [[f"{merge}, against", *mine]]
    for model in _baselines(results, merge):
        cells = []
        for name, answers in mine.items():
            other = results[model].questions[name]
            bits = _bits(other.gold, answers.gold)
            if other.right is not None and answers.right is not None:
                bits = f"{_points(accuracy_change(other.right, answers.right))}<br>{bits}"
            cells.append(bits)
        rows.append([model, *cells])
    return _table(rows)


def _shares(shares: Mapping[str, Mapping[str, NDArray[np.float64]]], owners: Sequence[str]) -> str:
    rows = [["routing share", "public", *owners]]
    for model, found in shares.items():
        rows += [[f"{model}: {text}", *(f"{share:.2f}" for share in each)] for text, each in found.items()]
    return _table(rows)


def _baselines(results: Comparison, merge: str) -> list[str]:
    wanted = (PUBLIC, DENSE, AVERAGE, ENSEMBLE, WEIGHTED, MERGED)
    return [model for model in wanted if model in results and model != merge]


def _changes(before: Measured, after: Measured) -> dict[str, dict[str, float]]:
    return {text: _numbers(change(before.texts[text], scores)) for text, scores in after.texts.items()}


def _mean(results: Comparison, owners: Sequence[str], before: str, after: str) -> Change:
    one, other = (([results[model].texts[owner] for owner in owners]) for model in (before, after))
    return mean_change(one, other)


def _bits(before: Scores, after: Scores) -> str:
    moved = change(before, after)
    mean, low, high = (np.log2(1 + value) for value in (moved.mean, moved.low, moved.high))
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f}) bits"


def _points(moved: Change) -> str:
    return f"{moved.mean:+.2f} ({moved.low:+.2f} to {moved.high:+.2f})"


def _percent(moved: Change) -> str:
    return f"{moved.mean:+.1%} ({moved.low:+.1%} to {moved.high:+.1%})"


def _numbers(moved: Change) -> dict[str, float]:
    return {name: round(getattr(moved, name), 4) for name in ("mean", "low", "high")}


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = [f"| {' | '.join(head)} |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in body)]) + "\n"
