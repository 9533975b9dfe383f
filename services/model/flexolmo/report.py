"""The measured matrix as a table in docs/experts.md and as JSON for machines."""

import json
from collections.abc import Mapping
from pathlib import Path

from services.model.flexolmo.perplexity import Scores, change

BEGIN, END = "<!-- matrix: written by the command above -->", "<!-- end of matrix -->"

Matrix = Mapping[str, Mapping[str, Scores]]
"""scores[model][owner]; one model is "public"."""


def tables(scores: Matrix, owners: tuple[str, ...], control: str) -> str:
    """Two Markdown tables: every model on every text, and each expert against the control on its own text."""
    texts = list(scores["public"])
    lines = [f"| perplexity | {' | '.join(texts)} |", "| --- |" + " ---: |" * len(texts)]
    for model, row in scores.items():
        cells = [_cell(model, owner, row[owner], scores) for owner in texts]
        lines.append(f"| {model} | {' | '.join(cells)} |")
    lines += ["", "| | public | expert alone | change | control's change | expert against control |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    for owner in owners:
        public, expert, other = (scores[m][owner] for m in ("public", f"{owner} alone", f"{control} alone"))
        lines.append(
            f"| {owner} | {public.perplexity:.2f} | {expert.perplexity:.2f} "
            f"| {_change(public, expert)} | {_change(public, other)} | {_change(other, expert)} |"
        )
    return "\n".join(lines) + "\n"


def summary(scores: Matrix, owners: tuple[str, ...], control: str) -> dict[str, object]:
    """Every cell with its interval, and whether each expert does what it must."""
    cells = {
        model: {
            owner: {
                "perplexity": round(cell.perplexity, 4),
                "interval": [round(bound, 4) for bound in cell.interval()],
                "change": _numbers(scores["public"][owner], cell),
                "documents": len(cell.tokens),
                "tokens": int(cell.tokens.sum()),
            }
            for owner, cell in row.items()
        }
        for model, row in scores.items()
    }
    verdicts = {}
    for owner in owners:
        public, expert, other = (scores[m][owner] for m in ("public", f"{owner} alone", f"{control} alone"))
        verdicts[owner] = {
            "change": _numbers(public, expert),
            "against_control": _numbers(other, expert),
            "lowers_by_a_tenth": change(public, expert).mean <= -0.1,
            "beats_the_control": change(other, expert).lower,
        }
    return {"experts": verdicts, "cells": cells}


def write(scores: Matrix, owners: tuple[str, ...], control: str, page: Path, results: Path) -> None:
    """Replace the table in ``page`` between its two marks, and write ``results`` (JSON)."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n{tables(scores, owners, control)}{END}{after}", encoding="utf-8")
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(summary(scores, owners, control), indent=1) + "\n", encoding="utf-8")


def _cell(model: str, owner: str, scores: Scores, matrix: Matrix) -> str:
    """The perplexity, and below it its interval or, for other models than the public one, its change."""
    if model == "public":
        low, high = scores.interval()
        return f"{scores.perplexity:.2f}<br>({low:.1f} to {high:.1f})"
    return f"{scores.perplexity:.2f}<br>{_change(matrix['public'][owner], scores)}"


def _change(before: Scores, after: Scores) -> str:
    moved = change(before, after)
    return f"{moved.mean:+.1%} ({moved.low:+.1%} to {moved.high:+.1%})"


def _numbers(before: Scores, after: Scores) -> dict[str, float]:
    moved = change(before, after)
    return {name: round(getattr(moved, name), 4) for name in ("mean", "low", "high")}
