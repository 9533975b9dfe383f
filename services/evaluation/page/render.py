"""What both pages share: the templates, plotly's script, and pages as pieces that can be sent as they are made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from services.evaluation.page.items import BLOCK
from services.evaluation.page.plots import Drawing

_HERE = Path(__file__).parent
_ENOUGH = 65_536
"""Characters sent at a time."""

_TESTS = {
    "mcnemar": "McNemar, exact",
    "cluster_flip": "cluster flip, exact",
    "sign_flip": "sign flip",
    "rank_swap": "rank swap",
    "tpr_swap": "rank swap, of the TPR",
}


@dataclass(frozen=True)
class Placed:
    """A plot, the id of its place in the page, and whether it takes the page's whole width."""

    id: str
    drawing: Drawing
    wide: bool


def placed(drawings: Iterable[Drawing], *, wide: Iterable[Drawing | None] = ()) -> list[Placed]:
    """The plots of a page, those of half its width first."""
    halves = [(drawing, False) for drawing in drawings]
    wholes = [(drawing, True) for drawing in wide if drawing is not None]
    return [Placed(f"plot-{place}", drawing, whole) for place, (drawing, whole) in enumerate([*halves, *wholes])]


def render(template: str, pieces: Iterator[tuple[str, str]], **values: Any) -> Iterator[str]:
    """The page of a template, in parts of about 64 thousand characters; `pieces` are made as the page gets to them."""
    made = _ENVIRONMENT.get_template(template).generate(
        css=(_HERE / "page.css").read_text(encoding="utf-8"),
        viewer=(_HERE / "viewer.js").read_text(encoding="utf-8").replace("__BLOCK__", str(BLOCK)),
        pieces=pieces,
        **values,
    )
    waiting: list[str] = []
    size = 0
    for part in made:
        waiting.append(part)
        size += len(part)
        if size >= _ENOUGH:
            yield "".join(waiting)
            waiting, size = [], 0
    yield "".join(waiting)


def _js(value: Any) -> Markup:
    """JSON inside a script: no text can end it."""
    return Markup(json.dumps(value, ensure_ascii=False).replace("<", "\\u003c"))


def _plotly() -> str:
    """plotly's script, from its package: importing that takes longer than making the page."""
    found = find_spec("plotly")
    if found is None or found.origin is None:
        raise FileNotFoundError("plotly is not installed")
    return (Path(found.origin).parent / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


def _p(probability: float) -> str:
    return f"{probability:.2g}" if probability >= 1e-4 else "< 0.0001"


def _time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


_ENVIRONMENT = Environment(loader=FileSystemLoader(_HERE), autoescape=True)
_ENVIRONMENT.filters["js"] = _js
_ENVIRONMENT.globals.update(p=_p, time=_time, tests=_TESTS, plotly=_plotly)
