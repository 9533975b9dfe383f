"""Sets of questions in the formats that they are published in."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.evaluation.errors import BadOption, MissingData
from services.evaluation.suites.sets.problem import Problem
from services.evaluation.suites.sets.reading import choose, known
from tests.contract.endpoint_support import write_set

ROWS: list[tuple[dict[str, Any], Problem]] = [
    (
        {"question": "2 + 2?", "answer": "Two and two.\n#### 4"},
        Problem(id="", question="2 + 2?", answers=["4"], worked=True),
    ),
    (
        {
            "problem": "1/2 + 1/2?",
            "solution": r"It is $\boxed{1}$.",
            "answer": "1",
            "subject": "Sums",
            "unique_id": "a",
        },
        Problem(id="", question="1/2 + 1/2?", answers=["1"], subject="Sums", worked=True),
    ),
    (
        {"question": "who wrote emma", "answer": ["Austen", "Jane Austen"]},
        Problem(id="", question="who wrote emma", answers=["Austen", "Jane Austen"]),
    ),
    (
        {"question": "Who?", "answers": {"text": ["He", "Him"], "answer_start": [1, 2]}},
        Problem(id="", question="Who?", answers=["He", "Him"]),
    ),
    (
        {"question": "Who?", "subject": "law", "choices": ["x", "y"], "answer": 1},
        Problem(id="", question="Who?", answers=["y"], choices=["x", "y"], gold=1, subject="law"),
    ),
    (
        {"question": "Who?", "options": ["x", "y", "z"], "answer": "C", "answer_index": 2, "category": "law"},
        Problem(id="", question="Who?", answers=["z"], choices=["x", "y", "z"], gold=2, subject="law"),
    ),
    (
        {"passage": "P.", "question": "Who?", "options": ["(A)x", "(B) y"], "label": "A"},
        Problem(id="", question="P.\nWho?", answers=["x"], choices=["x", "y"], gold=0),
    ),
    (
        {"id": "q", "question": "Who?", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"},
        Problem(id="", question="Who?", answers=["y"], choices=["x", "y"], gold=1),
    ),
    (
        {"question": "Who?", "correct_answer": "b", "distractor1": "C", "distractor2": "a", "distractor3": "d"},
        Problem(id="", question="Who?", answers=["b"], choices=["a", "b", "C", "d"], gold=1),
    ),
]


@pytest.mark.parametrize(("row", "expected"), ROWS, ids=[",".join(row) for row, _ in ROWS])
def test_a_row_of_each_format_is_read(tmp_path: Path, row: dict[str, Any], expected: Problem) -> None:
    write_set(tmp_path, "own", [row])
    [found] = choose(tmp_path, "own", 10, 0)
    assert found.model_copy(update={"id": ""}) == expected


def test_mmlu_is_a_folder_of_csv_files_without_headings(tmp_path: Path) -> None:
    folder = tmp_path / "sets/mmlu"
    folder.mkdir(parents=True)
    (folder / "high_school_law_test.csv").write_text('"Who, then?",x,y,z,"w, v",D\n')
    (folder / "anatomy_test.csv").write_text("question,A,B,C,D,answer\nWhat?,1,2,3,4,B\n")
    found = {one.subject: one for one in choose(tmp_path, "mmlu", 10, 0)}
    assert found["high school law"].answers == ["w, v"]
    assert found["high school law"].lettered() == "Who, then?\nA. x\nB. y\nC. z\nD. w, v"
    assert (found["anatomy"].gold, found["anatomy"].id) == (1, "mmlu:anatomy_test.csv:1")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "own.jsonl:2: no JSON"),
        ("[1]", "own.jsonl:2: not a JSON object"),
        ('{"q": 1}', "own.jsonl:2: no known format: the row has q. Known: question . options"),
        ('{"question": "Who?", "choices": ["x", "y"], "answer": 2}', "own.jsonl:2: .* the answer is choice 3 of 2"),
        ('{"question": " ", "answer": "x"}', "own.jsonl:2: the question is empty"),
        ('{"question": "Who?", "answer": []}', "own.jsonl:2: there is no answer"),
        ('{"question": "Who?", "answer": null}', "own.jsonl:2: .* None is no text"),
        ('{"question": null, "answer": "x"}', "own.jsonl:2: .* None is no text"),
        ('{"question": "Who?", "answers": [{"text": "x"}]}', "own.jsonl:2: .* is no text"),
        ('{"question": "Who?", "choices": ["x", null], "answer": 0}', "own.jsonl:2: .* None is no text"),
        ('{"question": "Who?", "choices": ["x", "y"], "answer": ""}', "own.jsonl:2: .* '' is no letter of a choice"),
        ('{"question": "Who?", "choices": ["x", "y"], "answer": "AB"}', "own.jsonl:2: .* 'AB' is no letter"),
        ('{"question": "Who?", "options": ["x", "y"], "label": null}', "own.jsonl:2: .* None is no letter"),
        ('{"question": "Who?", "choices": ["x", "y"], "answer": true}', "own.jsonl:2: .* True is no letter"),
        ('{"question": "Who \\ud800?", "answer": "x"}', "own.jsonl:2: .* half a surrogate"),
        ('{"question": "Who?", "answer": "x\\u0000"}', "own.jsonl:2: .* NUL"),
        ('{"id": "own.jsonl:1", "question": "Who?", "answer": "x"}', "own.jsonl:2: the id 'own.jsonl:1' stands there"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str, says: str) -> None:
    write_set(tmp_path, "own", [{"question": "Who?", "answer": "He"}])
    with (tmp_path / "sets/own.jsonl").open("a") as file:
        file.write(line)
    with pytest.raises(BadOption, match=says):
        choose(tmp_path, "own", 10, 0)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("own.jsonl", b'{"question": "Qui\xe9n?"', "own.jsonl: no UTF-8"),
        ("own.jsonl", b"", "is empty"),
        ("own.jsonl", b"\n \n", "is empty"),
        ("own.csv", b"\x00\x01\x02", "own.csv:1: 1 fields"),
        ("own.csv", b'question,answer\n"' + b"x" * 200_000, "own.csv: no CSV"),
        ("own.csv", b"prompt,completion\nWho?,He\n", r"own.csv:1: 2 fields \(prompt, completion\), which are neither"),
        (
            "own.csv",
            b"id,prompt,a,b,c,label\n1,Who?,x,y,z,A\n",
            "own.csv:1: 6 fields .id, prompt, a, b,",
        ),
        ("own.csv", b"question,answer\nWho?\n", "own.csv:2: 1 fields, where the heading has 2: question, answer"),
        (
            "own.csv",
            b"question,completion\nWho?,He\n",
            "own.csv:1: no known format: the row has subject, question",
        ),
        ("own.jsonl", b'{"question": "Who?", "choices": {"text": ["a"]}, "answerKey": "A"}', "there is no 'label'"),
        ("own.parquet", b"question,answer\nWho?,He\n", "own.parquet: no Parquet"),
        ("own.parquet", b"", "own.parquet: no Parquet"),
        ("own/readme.txt", b"nothing", "has no file of .jsonl, .csv, .parquet"),
        ("own.jsonl/deep.jsonl", b"{}", "has no file of .jsonl, .csv, .parquet"),
    ],
)
def test_a_file_of_another_format_is_named(tmp_path: Path, file: str, content: bytes, says: str) -> None:
    path = tmp_path / "sets" / file
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(BadOption, match=says):
        choose(tmp_path, "own", 10, 0)


def test_a_link_to_nowhere_is_no_set_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets/own.jsonl").symlink_to(tmp_path / "gone.jsonl")
    with pytest.raises(BadOption, match="has no file"):
        choose(tmp_path, "own", 10, 0)


def test_a_spreadsheets_file_begins_with_a_mark_and_ends_with_an_empty_line(tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets/own.csv").write_bytes("\ufeffquestion,answer\r\nWho?,Él\r\n\r\n".encode())
    (tmp_path / "sets/lines.jsonl").write_bytes('\ufeff{"question": "Who?", "answer": "Él"}\n'.encode())
    for name in ("own", "lines"):
        [found] = choose(tmp_path, name, 10, 0)
        assert (found.question, found.answers) == ("Who?", ["Él"])


def test_a_csv_file_has_its_heading_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets/own.csv").write_text("id,answer,question\nq7,He,Who?\n")
    [found] = choose(tmp_path, "own", 10, 0)
    assert (found.id, found.question, found.answers) == ("own:q7", "Who?", ["He"])


def test_the_option_that_names_the_set_is_the_one_that_is_refused(tmp_path: Path) -> None:
    write_set(tmp_path, "own", [{"prompt": "Who?"}])
    for name in ("own", "other"):
        with pytest.raises(BadOption) as refused:
            choose(tmp_path, name, 1, 0, option="train")
        assert refused.value.field == "options.train"


def test_a_number_is_an_answer(tmp_path: Path) -> None:
    write_set(tmp_path, "own", [{"question": "How many?", "answer": 5}])
    assert choose(tmp_path, "own", 1, 0)[0].answers == ["5"]


def test_a_name_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="There is no set in"):
        choose(tmp_path, "own", 1, 0)
    write_set(tmp_path, "own", [{"question": "Who?", "answer": "He"}])
    (tmp_path / "secret.jsonl").write_text(json.dumps({"question": "Who?", "answer": "He"}))
    for name in ("../secret", "/etc/passwd", "", "own.jsonl"):
        with pytest.raises(BadOption, match="Known: own"):
            choose(tmp_path, name, 1, 0)


def test_a_smaller_limit_gives_the_first_of_a_larger_ones(tmp_path: Path) -> None:
    write_set(tmp_path, "own", [{"question": f"Who {number}?", "answer": "He"} for number in range(50)])
    assert choose(tmp_path, "own", 5, 1) == choose(tmp_path, "own", 20, 1)[:5]
    assert choose(tmp_path, "own", 20, 1) != choose(tmp_path, "own", 20, 2)


def test_the_public_sets_of_the_pulled_package(candor_home: Path) -> None:
    sizes = {
        "mmlu": 14042, "arc-easy": 570, "arc-challenge": 299, "openbookqa": 500, "sciq-choices": 1000,
        "nq-open": 3610, "gsm8k": 1319, "math-500": 500, "arithmetic": 3000,
    }  # fmt: skip
    assert set(sizes) <= set(known(candor_home))
    found = {name: choose(candor_home, name, 10**6, 0) for name in sizes}
    assert {name: len(problems) for name, problems in found.items()} == sizes
    assert all(not one.choices for name in ("gsm8k", "math-500", "arithmetic", "nq-open") for one in found[name])
    assert all(one.answers == [one.choices[one.gold or 0]] for one in found["mmlu"])
