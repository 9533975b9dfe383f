"""From files to segments: what is left out, of whom, what the manifest says of it, and builds that are killed."""

import hashlib
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.retrieval.datastore.build import Report, Sizes, build
from services.retrieval.datastore.ingest.decontaminate import Queries
from shared.owners import Owner, Source
from tests.retrieval_support import HashingEncoder, opened, owner, write_lines, write_source
from tests.unit.retrieval.test_quality import PROSE

SMALL = Sizes(bytes=400, passages=2)
OWNERS = [owner("public", public=True), owner("papers")]


class CountingEncoder(HashingEncoder):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        self.texts.extend(texts)
        return super().encode(texts, progress)


def built(
    home: Path, owners: Sequence[Owner] = OWNERS, queries: Queries | None = None, encoder: HashingEncoder | None = None
) -> Report:
    made = encoder or HashingEncoder()
    return build(home, owners, made.card, lambda: made, lambda _: None, queries=queries, sizes=SMALL)


def write(home: Path, name: str, text: str) -> None:
    path = home / "texts" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def page(text: str) -> str:
    paragraphs = "".join(f"<p>{part}</p>" for part in text.split("\n\n"))
    return f"<html><body><main>{paragraphs}</main></body></html>"


def kept(home: Path, name: str) -> list[str]:
    return [
        segment.passages.passage(row).document
        for segment in opened(home).of([name])
        for row in range(len(segment.passages))
    ]


def test_documents_with_ids_of_their_owners_are_all_kept(tmp_path: Path) -> None:
    write_source(tmp_path, "papers", ["the ant", "the ant", "lorem ipsum"])
    assert str(built(tmp_path).accounts["papers/source"]) == "3 documents read, 3 kept"


def test_the_registry_can_have_them_cleaned_and_the_manifest_says_what_was_left_out(tmp_path: Path) -> None:
    write_source(tmp_path, "papers", [PROSE, PROSE.upper(), PROSE + " So it is.", "too short"])
    registered = Source(name="source", origin="a crawl", licence="MIT", clean=True)
    account = built(tmp_path, [owner("papers").model_copy(update={"sources": [registered]})]).accounts["papers/source"]
    dropped = {"exact duplicate": 1, "near-duplicate": 1, "fewer than 50 words (Gopher)": 1}
    assert (account.read, account.dropped, account.kept) == (4, dropped, 1)
    (segment,) = opened(tmp_path).segments
    assert (segment.manifest.read, segment.manifest.dropped, segment.manifest.documents) == (4, dropped, 1)


def test_the_registry_can_have_pages_left_as_they_are(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path, f"papers/pages/{number}.html", page("short"))
    registered = Source(name="pages", origin="a crawl", licence="MIT", clean=False)
    built(tmp_path, [owner("papers").model_copy(update={"sources": [registered]})])
    assert kept(tmp_path, "papers") == ["pages:0.html", "pages:1.html"]


def test_a_copy_in_another_source_of_the_owner_is_left_out_and_documents_with_ids_stay(tmp_path: Path) -> None:
    write(tmp_path, "papers/early.txt", PROSE)
    write_source(tmp_path, "papers", [PROSE])
    write(tmp_path, "papers/pages/1.html", page(PROSE))
    write(tmp_path, "papers/pages/2.html", page("Short."))
    write(tmp_path, "papers/quay.txt", PROSE.replace("Today", "Now"))
    report = built(tmp_path)
    assert kept(tmp_path, "papers") == ["papers-source:0"]
    assert report.accounts["papers/early"].dropped == {"exact duplicate": 1}
    assert report.accounts["papers/pages"].dropped.total() == 2
    assert report.accounts["papers/quay"].dropped == {"near-duplicate": 1}


def test_what_an_owner_has_does_not_depend_on_another(tmp_path: Path) -> None:
    for home, names in ((tmp_path / "both", ["papers", "news"]), (tmp_path / "alone", ["papers"])):
        for name in names:
            write(home, f"{name}/quay.txt", PROSE)
            write(home, f"{name}/tide.txt", PROSE + " It turns.")
        built(home, [owner(name) for name in names])
    assert tree(tmp_path / "both" / "retrieval" / "main" / "papers") == tree(
        tmp_path / "alone" / "retrieval" / "main" / "papers"
    )


def test_a_source_that_was_a_copy_comes_back_when_the_other_is_withdrawn(tmp_path: Path) -> None:
    write(tmp_path, "papers/a.txt", PROSE)
    write(tmp_path, "papers/b.txt", PROSE)
    built(tmp_path)
    assert kept(tmp_path, "papers") == ["a:a.txt"]
    (tmp_path / "texts" / "papers" / "a.txt").unlink()
    built(tmp_path)
    assert kept(tmp_path, "papers") == ["b:b.txt"]


def test_evaluation_queries_are_taken_out_and_counted_and_come_back_without_them(tmp_path: Path) -> None:
    query = "Which of the eight cranes of the harbour unloads the grain that the mill upriver waits for every week?"
    write_source(tmp_path, "papers", [f"{PROSE}\n\n{query}", query, PROSE])
    account = built(tmp_path, queries=Queries([query])).accounts["papers/source"]
    assert (dict(account.dropped), dict(account.cut)) == (
        {"nothing but evaluation queries": 1},
        {"paragraphs that are evaluation queries": 1},
    )
    (segment,) = opened(tmp_path).of(["papers"])
    assert segment.manifest.queries
    assert all(query not in segment.passages.text(row) for row in range(len(segment.passages)))
    built(tmp_path)
    assert len(kept(tmp_path, "papers")) == 3


def test_of_two_documents_with_one_id_the_first_stays_and_the_other_is_named(tmp_path: Path) -> None:
    lines = [{"id": "s:1", "text": "first " * 40}, {"id": "s:2", "text": "x"}, {"id": "s:1", "text": "again"}]
    write_lines(tmp_path / "texts" / "papers" / "s.jsonl", lines)
    (broken,) = built(tmp_path).broken
    assert str(broken) == "papers/s.jsonl, line 3: an earlier document has the id 's:1'"
    assert kept(tmp_path, "papers") == ["s:1", "s:2"]


def test_only_passages_that_are_new_are_embedded(tmp_path: Path) -> None:
    write_source(tmp_path, "papers", ["the ant", "the bee", "the cat"])
    built(tmp_path)
    write_source(tmp_path, "papers", ["the cat", "the dog", "the ant"])
    encoder = CountingEncoder()
    built(tmp_path, encoder=encoder)
    assert encoder.texts == ["the dog"]
    (segment,) = opened(tmp_path).segments
    texts = [segment.passages.text(row) for row in range(3)]
    assert segment.vectors
    assert np.array_equal(segment.vectors.exact, HashingEncoder().encode(texts).astype(np.float16))


BUILD = """
import os, signal, sys
from pathlib import Path
from tests.unit.retrieval.test_ingest import OWNERS, SMALL, HashingEncoder
from services.retrieval.datastore.build import build
def tell(line):
    if line.startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    print(line, flush=True)
build(Path(sys.argv[1]), OWNERS, HashingEncoder.card, HashingEncoder, tell, sizes=SMALL)
"""


def killed_at(home: Path, line: str) -> list[str]:
    """What a build says until it is killed at a line."""
    command = [sys.executable, "-c", BUILD, str(home), line]
    killed = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    return killed.stdout.splitlines()


def write_all(home: Path) -> None:
    """Sources of several shards, with duplicates and broken lines."""
    write_source(home, "papers", [f"{word} text " * 20 for word in ("an", "old", "new", "long", "odd")])
    for number in range(4):
        write(home, f"public/pages/{number}.html", page(PROSE + f"\n\nPage {number // 2} ends here."))
    write(home, "public/broken.jsonl", '{"id": "1", "text": "one"}\n{\n')


def test_a_build_that_is_killed_goes_on_with_the_shard_it_was_at_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    write_all(tmp_path / "whole")
    built(tmp_path / "whole")
    home = tmp_path / "killed"
    write_all(home)
    told = killed_at(home, "papers/source: shard 2 of 3 read")
    assert "papers/source: shard 1 of 3 read" in told
    told = killed_at(home, "papers/source: 2 of 5 passages embedded")
    assert [line for line in told if "shard" in line] == ["papers/source: shard 3 of 3 read"]
    encoder = CountingEncoder()
    built(home, encoder=encoder)
    assert len(encoder.texts) == 3
    assert tree(home / "retrieval") == tree(tmp_path / "whole" / "retrieval")


def tree(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("changed", ["papers/s.jsonl", "papers/t.txt"])
def test_work_of_a_killed_build_is_not_taken_for_sources_that_have_changed_since(tmp_path: Path, changed: str) -> None:
    class Killed(BaseException):
        pass

    class DyingEncoder(HashingEncoder):
        def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
            raise Killed

    write(tmp_path, "papers/s.jsonl", '{"id": "1", "text": "old"}')
    write(tmp_path, "papers/t.txt", "old too")
    with pytest.raises(Killed):
        built(tmp_path, encoder=DyingEncoder())
    write(tmp_path, changed, '{"id": "1", "text": "new"}')
    built(tmp_path)
    texts = {segment.passages.text(row) for segment in opened(tmp_path).segments for row in range(1)}
    assert "new" in " ".join(texts)
