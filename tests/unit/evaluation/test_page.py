"""The pages of a run and of a comparison: what is in them, packed and plotted, and that no text can break out."""

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from typing import Any

import plotly.graph_objects as go
import pytest

from services.evaluation.compare import compare_runs
from services.evaluation.measured import gather
from services.evaluation.page.compared import compared_page
from services.evaluation.page.items import BLOCK, pieces
from services.evaluation.page.plots import broken
from services.evaluation.page.run import run_page
from services.evaluation.report import build_report, cells, tables
from services.evaluation.suites.rag_qa import RagQa
from shared.contracts.evaluation import Item, Run, RunProgress, RunsCompared
from shared.contracts.figure import Heatmap, Plot, Series
from tests.unit.evaluation.test_compare import item, measured, run

HOSTILE = '</script><script>alert(1)</script><b> & "quoted"'


class Page(HTMLParser):
    """The texts of a page's scripts by class, and its visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.scripts: list[tuple[str, str]] = []
        self.text = ""
        self.outside: list[str] = []
        self.bare: list[str] = []
        """Tables and plots that would widen the page: outside a box that scrolls by itself."""
        self._open: list[tuple[str, str]] = []
        self._class: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        kind = given.get("class") or ""
        if (tag == "table" or kind == "plot") and ("div", "scroll") not in self._open:
            self.bare.append(kind or tag)
        if tag in ("div", "table"):
            self._open.append((tag, kind))
        self.outside += [
            url for name in ("src", "href") if (url := given.get(name)) and not url.startswith(("#", "data:"))
        ]
        if tag == "script":
            self._class = given.get("class") or "code"
            self.scripts.append((self._class, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("div", "table"):
            self._open.pop()
        if tag == "script":
            self._class = None

    def handle_data(self, data: str) -> None:
        if self._class is None:
            self.text += data
        else:
            self.scripts[-1] = (self._class, self.scripts[-1][1] + data)

    def packed(self, kind: str) -> list[Any]:
        found = [content for name, content in self.scripts if name == kind]
        return [json.loads(gzip.decompress(base64.b64decode(one))) for one in found]

    def plots(self) -> list[tuple[str, Any, Any]]:
        [code] = [content for name, content in self.scripts if name == "code" and 'Plotly.newPlot("plot-0"' in content]
        decoder, found = json.JSONDecoder(), []
        for start in re.finditer(r"Plotly\.newPlot\(", code):
            values, at = [], start.end()
            for _ in range(3):
                value, at = decoder.raw_decode(code, at)
                values.append(value)
                at += 2
            found.append((values[0], values[1], values[2]))
        return found


ITEMS = [
    item(n, float(n % 3 > 0) if n % 50 else None, setting=setting, cluster=f"d{n // 5}", output=f"out {n} {HOSTILE}",
         gold=[HOSTILE], prompt="user: Who?", details={"finish_reason": "length" if n % 4 == 0 else "stop"})
    for n in range(150)
    for setting in ("closed_book", "rag")
]  # fmt: skip


def scored(one: Item) -> Item:
    right = one.scores.get("right")
    scores = {} if right is None else {"contains_gold": right, "f1": right / 2, "exact_match": 0.0}
    return one.model_copy(update={"scores": scores})


@pytest.fixture(scope="module")
def page() -> Page:
    about = run("eval-1", warnings=[HOSTILE], progress=RunProgress(done=300, total=300, failed=6), suite="rag-qa")
    items = [scored(one) for one in ITEMS]
    return Page("".join(run_page(build_report(about, items, RagQa()), items)))


def test_the_page_needs_nothing_from_elsewhere(page: Page) -> None:
    assert page.outside == []
    assert sum(len(content) > 1e6 for _, content in page.scripts) == 1


def test_every_item_is_in_the_page_once_and_in_the_index(page: Page) -> None:
    blocks = page.packed("block")
    assert [len(block) for block in blocks] == [BLOCK] * 3
    entries = [entry for block in blocks for entry in block]
    assert [entry["id"] for entry in entries] == [one.id for one in ITEMS]
    assert entries[3]["answers"][0]["output"] == ITEMS[3].output
    [index] = page.packed("index")
    assert [row[:2] for row in index] == [[one.set, one.setting] for one in ITEMS]
    assert index[0][3] == [["failed", [None, None, None]]]
    assert index[2][3] == [["scored", [1, 0.5, 0]]]


def test_scores_stand_beside_the_rates_of_what_failed_and_was_cut_off(page: Page) -> None:
    text = " ".join(page.text.split())
    assert "truncated" in text
    assert "2.0%" in text  # 3 of 150
    assert "in 30 clusters" in text
    assert "cluster flip, exact" in text


def test_no_text_of_the_items_can_leave_its_place(page: Page) -> None:
    assert HOSTILE in page.text  # the warning, as text
    assert not [content for name, content in page.scripts if content.strip() == "alert(1)"]


def test_names_of_sets_have_the_room_that_they_need_under_the_bars(page: Page) -> None:
    bars = [layout for _, data, layout in page.plots() if data[0]["type"] == "bar"]
    assert bars
    assert all(layout["xaxis"]["automargin"] for layout in bars)


def test_what_is_plotted_is_what_plotly_knows(page: Page) -> None:
    plots = page.plots()
    assert len(plots) == 4
    for _, data, layout in plots:
        go.Figure(data=data, layout=layout)


def test_what_is_wider_than_the_page_scrolls_by_itself(page: Page) -> None:
    assert page.bare == []
    compared = compare_runs([measured("a", [item(1, 1.0)]), measured("b", [item(1, 0.0)])])
    assert Page("".join(compared_page(compared, iter([[item(1, 1.0), item(1, 0.0)]]), 1))).bare == []


def test_sets_that_are_measured_by_different_things_have_tables_of_their_own() -> None:
    items = [
        item(1, 1.0, set="story").model_copy(update={"scores": {"fluency": 3.0}}),
        item(2, 1.0, set="qa").model_copy(update={"scores": {"f1": 0.5}}),
        item(3, 1.0, set="story", setting="without"),
        item(4, None, set="story", setting="told"),
    ]
    found = cells(gather(items), {"fluency": "continuous", "f1": "mean"})
    split = tables([("", cell) for cell in found], ["fluency", "f1"])
    places = [(metrics, [(cell.set, cell.setting) for _, cell in rows]) for metrics, rows in split]
    assert places[1] == (["f1"], [("qa", "rag")])
    # those of a set stay together, though nothing was scored under one of its settings
    assert [setting for _, setting in places[0][1]] == ["rag", "without", "told"]


def test_long_names_stand_on_several_lines_below_their_bars() -> None:
    assert broken("story/the-adventures-of-sherlock-holmes") == "story/the-<br>adventures-of-<br>sherlock-holmes"
    assert broken("squad") == "squad"


def test_a_run_without_items_has_a_page() -> None:
    about: Run = run("eval-2", progress=RunProgress(done=0, total=0, failed=0))
    empty = Page("".join(run_page(build_report(about, [], RagQa()), [])))
    assert empty.packed("index") == [[]]
    assert empty.packed("block") == []
    assert "The run has no items." in empty.text
    assert "Click one" not in empty.text
    # nothing lists what is not there
    assert not [content for _, content in empty.scripts if "METRICS" in content]


def test_the_page_of_a_comparison_has_both_answers_of_each_question() -> None:
    base, other = [item(n, float(n % 2)) for n in range(10)], [item(n, 1.0) for n in range(1, 10)]
    compared: RunsCompared = compare_runs([measured("a", base), measured("b", other)])
    by_question = {one.question_id: one for one in other}
    page = Page("".join(compared_page(compared, ([one, by_question.get(one.question_id)] for one in base), 10)))
    [block], [index] = page.packed("block"), page.packed("index")
    assert block[0]["answers"][1] is None
    assert [answer["scores"]["right"] for answer in block[2]["answers"]] == [0.0, 1.0]
    assert index[2][3] == [["scored", [0, 0]], ["scored", [1, 0.5]]]
    assert "versions.model" in page.text
    for _, data, layout in page.plots():
        go.Figure(data=data, layout=layout)


def test_pieces_are_made_as_they_are_asked_for() -> None:
    read = []

    def entries() -> Any:
        for n in range(10 * BLOCK):
            read.append(n)
            yield [item(n, 1.0)]

    found = pieces(entries(), ["right"])
    next(found)
    assert len(read) == BLOCK


def test_a_suites_own_figures_are_drawn_and_its_summary_told() -> None:
    line = Plot(
        kind="line", title="pass@k", x_title="k", y_title="pass", x_log=True, note="Higher is better.",
        series=[Series(name="plain", x=[1.0, 2.0], y=[0.5, None], low=[0.4, None], high=[0.7, None])],
    )  # fmt: skip
    bar = Plot(kind="bar", title="time", x_title="", y_title="ms", series=[Series(name="rag", x=["a"], y=[3.0])])
    matrix = Heatmap(
        title="owners",
        x_title="left out",
        y_title="text",
        columns=["a"],
        rows=["x", "y"],
        values=[[0.1], [None]],
        low=[[0.05], [None]],
        high=[[0.2], [None]],
        centre=0,
    )
    report = build_report(run("eval-3"), [item(1, 1.0)], RagQa())
    report = report.model_copy(update={"figures": [line, bar, matrix], "summary": ["Nobody lost anything."]})
    page = Page("".join(run_page(report, [item(1, 1.0)])))
    assert "Nobody lost anything." in page.text
    assert "Fewer than 10 clusters (an item that shares none is one): tales (1)." in page.text
    assert "Higher is better." in page.text
    plots = page.plots()
    assert plots[0][1][0]["error_y"]["array"] == [pytest.approx(0.2), 0]
    assert {plot[1][0]["type"] for plot in plots} == {"scatter", "bar", "heatmap"}
    [drawn] = [data[0] for _, data, _ in plots if data[0]["type"] == "heatmap"]
    assert drawn["text"] == [["0.1<br><sub>0.05 to 0.2</sub>"], [""]]
    for _, data, layout in plots:
        go.Figure(data=data, layout=layout)
