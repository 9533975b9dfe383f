"""Gold questions asked of a model by likelihood, against a direct computation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from services.model.flexolmo.anchor import load_anchor
from services.model.flexolmo.questions import Item, QuestionSet, answer_logprobs, gold, read_items, right

CLOSED = QuestionSet("notes", "nothing", "other answers")


@pytest.fixture
def home(texts: Path, tmp_path: Path) -> Path:
    """A data folder with a question on each of harbour's documents, every third of which needs its document."""
    (tmp_path / "questions").mkdir()
    (tmp_path / "texts").symlink_to(texts)
    rows = [
        {
            "id": f"notes:{i}",
            "owner": "harbour",
            "question": f"What is at quay {i}?",
            "answers": ["yes" if i % 2 else "No"] if i % 3 == 0 else [f"boat number {i}", "a boat"],
            "document": f"harbour:{i}",
            "standalone": i % 3 != 0,
        }
        for i in range(24)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "questions" / "notes.jsonl").write_text(lines, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def tokenizer(anchor: Path) -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(anchor)
    return tokenizer


def test_answers_are_as_likely_as_in_the_whole_conversation(
    anchor: Path, home: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    items = read_items(CLOSED, home, tokenizer, count=5)
    model = load_anchor(anchor, torch.float32)
    got = iter(answer_logprobs(model, items))
    for item in items:
        for option in item.options:
            whole = torch.cat([item.prompt, option])
            with torch.no_grad():
                logits = model(input_ids=whole[None]).logits[0, len(item.prompt) - 1 : -1].log_softmax(-1)
            direct = logits.gather(-1, option[:, None]).squeeze(-1)
            np.testing.assert_allclose(next(got), direct.numpy(), atol=1e-4)
    assert next(got, None) is None


def test_closed_book_questions_stand_alone_and_compete_with_other_questions_answers(
    home: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    items = read_items(CLOSED, home, tokenizer, count=100)
    assert len(items) == 16
    for item in items:
        number = int(item.id.split(":")[1])
        options = [tokenizer.decode(option) for option in item.options]
        assert options[0] == f"boat number {number}"
        assert len(set(options)) == 4
        assert f"quay {number}?" in tokenizer.decode(item.prompt)
        assert "Context" not in tokenizer.decode(item.prompt)
    again = read_items(CLOSED, home, tokenizer, count=3)
    assert [item.id for item in again] == [item.id for item in items[:3]]


def test_read_questions_come_with_their_document_and_only_heldout_ones_when_asked(
    home: Path, texts: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    kind = QuestionSet("notes", "passage", "none", heldout=True)
    rows = {row["id"]: row for row in map(json.loads, (texts / "harbour" / "notes.jsonl").read_text().splitlines())}
    items = read_items(kind, home, tokenizer, count=100)
    assert len(items) == 6
    for item in items:
        document = rows["harbour:" + item.id.split(":")[1]]
        assert document["split"] == "heldout"
        assert document["text"] in tokenizer.decode(item.prompt)
        assert len(item.options) == 1


def test_a_yes_or_no_question_has_two_options(home: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    items = read_items(QuestionSet("notes", "opening", "yes or no"), home, tokenizer, count=100)
    for item in items:
        options = [str(tokenizer.decode(option)).lower() for option in item.options]
        if options[0] in ("yes", "no"):
            assert sorted(options) == ["no", "yes"]


def test_the_likeliest_answer_for_its_length_is_the_models_choice() -> None:
    nothing = torch.zeros(1, dtype=torch.int64)
    items = [Item("a", nothing, [nothing] * 2, [4, 1]), Item("b", nothing, [nothing] * 2, [1, 4])]
    logprobs = [np.array(each, dtype=np.float32) for each in ([-3.0, -1.0], [-2.0], [-3.0], [-3.0])]
    # -4 / 4 beats -2 / 1; -3 / 1 loses to -3 / 4
    assert right(items, logprobs).tolist() == [1, 0]
    assert [each.tolist() for each in gold(items, logprobs)] == [[-3.0, -1.0], [-3.0]]
