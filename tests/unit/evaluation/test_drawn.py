"""Which documents are members and non-members: of one source, cut alike, drawn by the seed, no copies."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.evaluation.errors import MissingData
from services.evaluation.suites.membership.drawn import draw
from services.evaluation.suites.membership.plan import MembershipOptions, plan
from services.evaluation.suites.texts import held_out


def sentence(name: str, words: int) -> str:
    return " ".join(f"{name}{n}" for n in range(words))


def write(home: Path, rows: dict[str, list[dict[str, Any]]]) -> Path:
    folder = home / "texts" / "papers"
    folder.mkdir(parents=True)
    for source, documents in rows.items():
        (folder / f"{source}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in documents))
    return home


def rows(source: str, train: int, held: int, words: int = 60) -> list[dict[str, Any]]:
    return [
        {"id": f"{source}:{split}{n}", "split": split, "text": sentence(f"{source}{split}{n}x", words + 7 * (n % 5))}
        for split, count in (("train", train), ("heldout", held))
        for n in range(count)
    ]


def test_as_many_members_as_non_members_of_the_same_sources_and_lengths(tmp_path: Path) -> None:
    home = write(tmp_path, {"long": rows("long", 20, 4, 200), "short": rows("short", 20, 4)})
    drawn = draw(home, "papers", limit=6, seed=0, characters=900)
    members, others = drawn.texts[::2], drawn.texts[1::2]
    assert [one.member for one in drawn.texts] == [True, False] * 6
    assert [one.id.split(":")[0] for one in members] == [one.id.split(":")[0] for one in others]
    assert {one.id for one in members} == {one.id for one in members if ":train" in one.id}
    for one, other in zip(members, others, strict=True):
        assert abs(len(one.text) - len(other.text)) < 25
        assert max(len(one.text), len(other.text)) <= 900
    assert len({one.id for one in drawn.texts}) == 12


def test_the_seed_draws_them_and_a_smaller_limit_gives_the_first(tmp_path: Path) -> None:
    home = write(tmp_path, {"one": rows("one", 30, 12)})
    ten, four = (draw(home, "papers", limit=limit, seed=3, characters=500).texts for limit in (10, 4))
    assert ten[:8] == four
    assert {one.id for one in ten} != {one.id for one in draw(home, "papers", limit=10, seed=4, characters=500).texts}


def test_a_held_out_copy_of_training_text_is_no_non_member(tmp_path: Path) -> None:
    found = rows("one", 5, 3)
    copied = {"id": "one:copy", "split": "heldout", "text": found[0]["text"] + " and a little more"}
    drawn = draw(write(tmp_path, {"one": [*found, copied]}), "papers", limit=10, seed=0, characters=500)
    assert "one:copy" not in {one.id for one in drawn.texts}
    assert "papers: 1 held-out documents repeat training text and are no non-members; left out." in drawn.warnings
    assert "papers has 3 pairs of a member and a non-member of the 10 asked for." in drawn.warnings


def test_a_held_out_document_of_which_only_what_would_be_judged_is_a_copy_is_no_non_member_either(
    tmp_path: Path,
) -> None:
    found = rows("one", 5, 3)
    half = {"id": "one:half", "split": "heldout", "text": f"{found[0]['text']} {sentence('new', 120)}"}
    drawn = draw(write(tmp_path, {"one": [*found, half]}), "papers", limit=10, seed=0, characters=400)
    assert "one:half" not in {one.id for one in drawn.texts}
    assert any("1 held-out documents repeat training text" in warning for warning in drawn.warnings)


def test_a_line_without_a_split_is_trained_on_and_so_a_member(tmp_path: Path) -> None:
    found = rows("one", 2, 2)
    for one in found[:2]:
        del one["split"]
    home = write(tmp_path, {"one": found})
    assert {one.id for one in draw(home, "papers", limit=2, seed=0, characters=400).texts[::2]} == {
        "one:train0", "one:train1",
    }  # fmt: skip
    assert {*held_out(home, "papers", limit=9, seed=0, characters=400)} == {"one:heldout0", "one:heldout1"}


def test_a_part_that_others_hold_is_counted_for_members_and_non_members_alike(tmp_path: Path) -> None:
    # half of each text is the same boilerplate
    shared = sentence("common", 40)
    documents = [
        {"id": f"{name}{n}", "split": split, "text": f"{shared} {sentence(f'{name}{n}x', 40)}"}
        for split, name, count in (("train", "known", 6), ("heldout", "fresh", 3))
        for n in range(count)
    ]
    drawn = draw(write(tmp_path, {"one": documents}), "papers", limit=3, seed=0, characters=5000)
    # of 68 13-grams 28 are of the boilerplate alone
    assert {round(one.overlap[13], 3) for one in drawn.texts} == {round(28 / 68, 3)}
    [warning] = drawn.warnings
    assert "of the members' 13-grams 41.2%" in warning
    assert "non-members' 41.2%" in warning


def test_documents_put_aside_are_none_of_those_drawn(tmp_path: Path) -> None:
    home = write(tmp_path, {"one": rows("one", 20, 8)})
    drawn = draw(home, "papers", limit=10, seed=0, characters=300, spare=3, sizes=(7, 13))
    assert len(drawn.spare) == 3
    assert len(drawn.texts) == 10
    assert not {*drawn.spare} & {one.text for one in drawn.texts}
    assert all({*one.overlap} == {7, 13} for one in drawn.texts)


def test_where_the_mask_leaves_none_but_public_experts_they_are_no_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"licence": "CC0-1.0", "contact": "none"}
    owners = [
        {"id": "papers", "name": "Papers", "experts": ["papers"], **entry},
        {"id": "news", "name": "News", "experts": [], **entry},
    ]
    (tmp_path / "owners.yaml").write_text(json.dumps({"owners": owners}))
    monkeypatch.setenv("CANDOR_OWNERS", str(tmp_path / "owners.yaml"))
    home = write(tmp_path, {"one": rows("one", 4, 4)})
    found = plan(MembershipOptions(attacks=["loss", "reference"]), 1, 0, home)
    references = {one.setting: one.ask["reference"] for one in found.items}
    assert references == {"all": [], "without papers": None, "public only": None}


def test_texts_that_are_too_short_or_of_one_split_give_no_pairs(tmp_path: Path) -> None:
    short = [{"id": f"s{n}", "split": split, "text": "too short"} for n, split in enumerate(["train", "heldout"])]
    drawn = draw(write(tmp_path, {"one": [*short, *rows("one", 4, 0)]}), "papers", limit=2, seed=0, characters=500)
    assert drawn.texts == []
    assert drawn.warnings == ["papers has 0 pairs of a member and a non-member of the 2 asked for."]
    with pytest.raises(MissingData):
        draw(tmp_path / "nowhere", "papers", limit=2, seed=0, characters=500)
