"""Building, publishing and opening corpora."""

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from services.tracing.index.build import Built, How, build_all, build_corpus
from services.tracing.index.corpus import read_manifest
from services.tracing.index.opening import open_corpora
from services.tracing.index.stored import FORMAT
from services.tracing.settings import tokenizer_in
from services.tracing.start import start
from services.tracing.tokenizer import Tokenizer
from services.tracing.trace.lookup import look_up_text
from shared.schedule import Advance, Here, Processes, Task, Work
from tests.tracing_support import owner, settings_in, train_tokenizer, write_texts

Rebuild = Callable[..., Built]
SMALL = How(block_bytes=3000, most_tokens=500)


@pytest.fixture
def texts(tmp_path: Path, paragraphs: list[str]) -> Path:
    return write_texts(tmp_path / "texts" / "papers.jsonl", "papers", paragraphs[:40])


@pytest.fixture
def rebuild(tmp_path: Path, texts: Path, tokenizer: Tokenizer) -> Rebuild:
    def rebuild(
        how: How | None = None, *, public: bool = False, progress: Callable[[str], None] = lambda _: None
    ) -> Built:
        folder = tmp_path / "tracing" / "papers"
        return build_corpus(folder, owner("papers", public=public), [texts], tokenizer, progress, how=how)

    return rebuild


def counted(home: Path, text: str, tokenizer: Tokenizer) -> int:
    corpora, _ = open_corpora(home / "tracing", tokenizer)
    segments = [segment for corpus in corpora for segment in corpus.segments]
    return sum(hit.high - hit.low for hit in look_up_text(text, segments, tokenizer)[1])


def test_every_document_comes_back_with_its_text_and_record(
    rebuild: Rebuild, tmp_path: Path, paragraphs: list[str], tokenizer: Tokenizer
) -> None:
    built = rebuild(SMALL)
    (corpus,), warnings = open_corpora(tmp_path / "tracing", tokenizer)
    assert (built.documents, built.skipped, built.fresh, warnings) == (40, 0, True, [])
    assert len(corpus.segments) > 3
    assert (corpus.id, corpus.owner, corpus.manifest.public) == ("papers", "papers", False)
    for number, text in enumerate(paragraphs[:40]):
        (segment, found), *more = [
            (segment, found) for segment in corpus.segments for found in segment.find("id", f"manual:papers-{number}")
        ]
        assert (segment.text(found), more) == (text, [])
        assert segment.record(found).title == f"Title {number}"
        assert found in segment.find("sha256", hashlib.sha256(text.encode()).hexdigest())
    assert not any(segment.find("id", "manual:papers-40") for segment in corpus.segments)


def test_what_is_built_and_unchanged_is_left_as_it_is(rebuild: Rebuild, texts: Path, tmp_path: Path) -> None:
    first = rebuild()
    segments = read_manifest(tmp_path / "tracing" / "papers")
    assert rebuild() == Built("papers", first.documents, first.tokens, 0, fresh=False)
    assert read_manifest(tmp_path / "tracing" / "papers") == segments
    texts.write_text("".join(texts.read_text().splitlines(keepends=True)[:-1]))
    assert rebuild().documents == first.documents - 1
    assert rebuild(public=True).fresh


def test_a_new_build_replaces_the_old_one_and_its_files(rebuild: Rebuild, texts: Path, tmp_path: Path) -> None:
    rebuild(SMALL)
    texts.write_text(texts.read_text().splitlines(keepends=True)[0])
    rebuild()
    manifest = read_manifest(tmp_path / "tracing" / "papers")
    assert manifest is not None
    folders = [path.name for path in (tmp_path / "tracing" / "papers").iterdir() if path.is_dir()]
    assert folders == manifest.segments
    assert len(folders) == 1


@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "manifest", "format"])
def test_a_damaged_segment_is_named_and_left_out_and_the_next_build_mends_it(
    harm: str, rebuild: Rebuild, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    rebuild(SMALL)
    before = counted(tmp_path, "the", tokenizer)
    victim = sorted((tmp_path / "tracing" / "papers").glob("segment-*"))[1]
    file = victim / ("manifest.json" if harm in ("manifest", "format") else "suffixes.bin")
    data = bytearray(file.read_bytes())
    if harm == "flip":
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    elif harm == "format":
        file.write_bytes(data.replace(FORMAT.encode(), b"candor-tracing-2"))
    elif harm == "remove":
        file.unlink()
    else:
        file.write_bytes(data[: len(data) // 2])
    (corpus,), (warning,) = open_corpora(tmp_path / "tracing", tokenizer)
    assert victim.name in warning
    assert "papers" in warning
    assert victim.name not in [segment.name for segment in corpus.segments]
    assert 0 < counted(tmp_path, "the", tokenizer) < before
    assert rebuild(SMALL).fresh
    assert counted(tmp_path, "the", tokenizer) == before


def test_a_segment_that_no_corpus_names_is_not_searched(rebuild: Rebuild, tmp_path: Path, tokenizer: Tokenizer) -> None:
    rebuild()
    before = counted(tmp_path, "the", tokenizer)
    corpus = tmp_path / "tracing" / "papers"
    (segment,) = corpus.glob("segment-*")
    # as a build leaves it that was killed before it published
    shutil.copytree(segment, corpus / "segment-unfinished")
    assert counted(tmp_path, "the", tokenizer) == before


def test_another_tokenizer_and_another_owner_are_refused_by_name(
    rebuild: Rebuild, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    rebuild()
    corpus = tmp_path / "tracing" / "papers"
    other = tmp_path / "other" / "tokenizer.json"
    train_tokenizer(other)
    other.write_text(other.read_text().replace('"type"', '"type" '))
    assert "another tokenizer" in open_corpora(tmp_path / "tracing", Tokenizer(other))[1][0]
    manifest = json.loads((corpus / "corpus.json").read_text())
    (corpus / "corpus.json").write_text(json.dumps({**manifest, "owner": "news"}))
    corpora, (warning,) = open_corpora(tmp_path / "tracing", tokenizer)
    assert corpora == []
    assert "'papers'" in warning


def test_empty_documents_and_broken_unicode_are_skipped_and_counted(
    rebuild: Rebuild, texts: Path, tokenizer: Tokenizer
) -> None:
    write_texts(texts, "papers", ["", "half \ud800 a pair", "a whole one"])
    built = rebuild()
    assert (built.documents, built.skipped) == (1, 2)
    assert built.tokens == len(tokenizer.encode("a whole one").ids)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"owner": "news"}, "'news'"),
        ({"id": "manual:papers-0"}, "earlier document"),
        ({"text": None}, "`text`"),
        ({"id": ""}, "`id`"),
        # no JSON has the first two; the API refuses them too
        ({"metadata": {"year": math.nan}}, "`metadata`"),
        ({"metadata": {"year": math.inf}}, "`metadata`"),
        ({"metadata": {"year": 2**63}}, "`metadata`"),
    ],
)
def test_a_line_that_is_no_document_of_the_owner_is_named_and_left_out(
    change: dict[str, object], complaint: str, rebuild: Rebuild, texts: Path
) -> None:
    lines = texts.read_text().splitlines()
    lines[1] = json.dumps({**json.loads(lines[1]), **change})
    texts.write_text("\n".join([*lines, "{broken"]))
    said: list[str] = []
    built = rebuild(progress=said.append)
    assert (built.documents, built.skipped) == (len(lines) - 1, 2)
    assert complaint in said[0]
    assert "line 2" in said[0]
    assert f"line {len(lines) + 1}" in said[1]


def test_a_line_needs_an_id_and_a_text_and_no_more(rebuild: Rebuild, texts: Path) -> None:
    texts.write_text('{"id": "a", "text": "The heron waits."}\n')
    assert rebuild().documents == 1


def test_files_that_are_not_traced_are_named_and_the_service_starts_without_any(tmp_path: Path) -> None:
    train_tokenizer(tokenizer_in(tmp_path))
    (tmp_path / "texts" / "papers").mkdir(parents=True)
    (tmp_path / "texts" / "papers" / "report.txt").write_text("The heron waits.")
    said: list[str] = []
    (built,) = build_all(tmp_path, [owner("papers")], said.append)
    assert (built.documents, built.tokens) == (0, 0)
    assert "report.txt" in said[0]
    settings = settings_in(tmp_path)
    started = start(settings, lambda _: None)
    assert any("nothing can be traced" in warning for warning in started.tracer.faults())
    started.changes.close()


def test_every_owner_with_texts_gets_a_corpus(tmp_path: Path, paragraphs: list[str]) -> None:
    train_tokenizer(tokenizer_in(tmp_path))
    for number, name in enumerate(("papers", "news")):
        write_texts(tmp_path / "texts" / name / "manual.jsonl", name, paragraphs[number * 10 : number * 10 + 10])
    said: list[str] = []
    built = build_all(tmp_path, [owner("papers"), owner("medicine"), owner("news", public=True)], said.append)
    assert [(one.corpus, one.documents) for one in built] == [("papers", 10), ("news", 10)]
    assert any(line.startswith("medicine") for line in said)


def fingerprint(folder: Path) -> list[tuple[str, str]]:
    """The files of a corpus's segments, in the order of the segments, and what is in them."""
    manifest = read_manifest(folder)
    assert manifest is not None
    return [
        (path.name, hashlib.sha256(path.read_bytes()).hexdigest())
        for name in manifest.segments
        for path in sorted((folder / name).glob("*.*"))
    ]


@pytest.mark.parametrize("most", [500, 1 << 31])
def test_processes_build_what_one_does_byte_for_byte(
    rebuild: Rebuild, tmp_path: Path, texts: Path, tokenizer: Tokenizer, most: int
) -> None:
    rebuild(How(block_bytes=3000, most_tokens=most))
    other = tmp_path / "other" / "papers"
    how = How(Processes(2), block_bytes=3000, most_tokens=most)
    built = build_corpus(other, owner("papers"), [texts], tokenizer, lambda _: None, how=how)
    assert fingerprint(other) == fingerprint(tmp_path / "tracing" / "papers")
    assert built.documents == 40
    assert (len(fingerprint(other)) == 10) == (most > 500)
    assert not (other / "blocks").exists()


class Interrupted(Here):
    """Stops after some blocks, as if it were killed, and says how many were to be done."""

    def __init__(self, after: int) -> None:
        self.after, self.tasks = after, 0

    def run(self, make: Callable[[], Work[Task]], tasks: Sequence[Task], advance: Advance) -> None:
        self.tasks = len(tasks)
        super().run(make, tasks[: self.after], advance)
        if self.after < len(tasks):
            raise KeyboardInterrupt


def test_a_build_that_was_stopped_does_not_do_again_what_it_had_finished(
    rebuild: Rebuild, tmp_path: Path, texts: Path, tokenizer: Tokenizer
) -> None:
    first, second = Interrupted(3), Interrupted(1 << 20)
    with pytest.raises(KeyboardInterrupt):
        rebuild(How(first, block_bytes=3000))
    folder = tmp_path / "tracing" / "papers"
    assert read_manifest(folder) is None
    unfinished = folder / "blocks" / ("0" * 64)
    unfinished.mkdir()
    (unfinished / "tokens.bin").write_bytes(b"half")
    said: list[str] = []
    rebuild(How(second, block_bytes=3000), progress=said.append)
    assert second.tasks == first.tasks - 3
    assert any("3 of" in line for line in said)
    other = tmp_path / "other" / "papers"
    build_corpus(other, owner("papers"), [texts], tokenizer, lambda _: None, how=How(block_bytes=3000))
    assert fingerprint(folder) == fingerprint(other)
