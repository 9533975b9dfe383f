"""`candor model analyse`: files in, one page out, and refusals that say what to do."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from services.model.analysis.texts import read_domains
from shared.contracts.routing import RoutingAnalysis
from tests.unit.cli.test_commands import candor
from tests.unit.model.tiny import save

OWNERS = ["papers", "medicine", "python"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints, a folder of documents and a file of text."""
    folder = tmp_path_factory.mktemp("analyse")
    for name in ("model", "early"):
        save(folder / name)
        card = {"experts": [{"id": "public"}, *({"id": owner, "owner": owner} for owner in OWNERS)]}
        (folder / name / "candor.json").write_text(json.dumps(card))
    (folder / "harbour").mkdir()
    rows = [("train", "never read"), ("heldout", "a harbour in the morning"), ("heldout", "a lamp in the window")]
    lines = [json.dumps({"text": text, "split": split}) for split, text in rows]
    (folder / "harbour" / "a.jsonl").write_text("\n".join(lines))
    (folder / "<b>owners.txt").write_text("the owner leaves and the model forgets </script><script>alert(1)</script>")
    return folder


class Page(HTMLParser):
    """The headings of a page, and whatever it would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.cells: list[str] = []
        self.fetched: list[str] = []
        self.plots = 0
        self._in: str = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = tag
        found = dict(attrs)
        self.plots += "plotly-graph-div" in (found.get("class") or "")
        self.fetched += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data: str) -> None:
        if self._in == "h2" and data.strip():
            self.headings.append(data.strip())
        if self._in == "td":
            self.cells.append(data)


def test_a_page_shows_every_analysis_and_fetches_nothing(folder: Path) -> None:
    out, figures = folder / "report.html", folder / "report.json"
    texts = ("--text", str(folder / "harbour"), "--text", str(folder / "<b>owners.txt"))
    done = candor(
        "model",
        "analyse",
        str(folder / "model"),
        *texts,
        "--against",
        str(folder / "early"),
        "--exclude",
        "medicine",
        "--least",
        "1",
        "--out",
        str(out),
        "--json",
        str(figures),
    )
    assert done.returncode == 0, done.stderr
    found = RoutingAnalysis.model_validate_json(figures.read_bytes())
    assert found.experts == ["public", "papers", "python"]
    assert {name: domain.texts for name, domain in found.domains.items()} == {"harbour": 2, "<b>owners": 1}
    assert found.saturation is not None
    assert set(found.saturation.by_layer) == {1}
    page = Page(out.read_text(encoding="utf-8"))
    assert page.headings == [
        "Routing share by layer",
        "Domain specialisation",
        "Co-activation",
        "Vocabulary specialisation",
        "Saturation against early",
    ]
    assert (page.plots, page.fetched) == (7, [])
    assert "<b>owners" in page.cells
    # what a text says must not become a part of the page
    assert not re.search(r"<b>owners|alert\(1\)</script>", out.read_text(encoding="utf-8"))
    assert "harbour" in done.stdout


def test_an_owner_without_an_expert_cannot_be_left_out(folder: Path) -> None:
    done = candor(
        "model",
        "analyse",
        str(folder / "model"),
        "--text",
        str(folder / "harbour"),
        "--exclude",
        "poets",
        "--out",
        str(folder / "x.html"),
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "no expert of this model is poets's; owners with one: papers, medicine, python" in done.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [("[1]\n", "line 1"), ('{"words": "x"}\n', "line 1"), ('{"text": "x", "split": "train"}\n', "no text outside")],
)
def test_a_file_without_documents_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(ValueError, match=said):
        read_domains([tmp_path / "a.jsonl"])


def test_two_texts_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a.txt", "a.md"):
        (tmp_path / name).write_text("x")
    with pytest.raises(ValueError, match="two texts are called 'a'"):
        read_domains([tmp_path / "a.txt", tmp_path / "a.md"])
