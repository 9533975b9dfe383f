"""Public text as a chat: public gold questions with their passages and answers, in the anchor's own chat template."""

import json
from collections.abc import Iterator
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from services.model.flexolmo.corpus import read_documents
from services.model.flexolmo.documents import Document


def public_chats(questions: Path, texts: Path, tokenizer: PreTrainedTokenizerBase) -> list[Document]:
    """A conversation for each question in the folder ``questions`` that a training document of ``texts`` answers.

    ``texts`` is the public owner's folder: questions on any other document, or on one that is held out, are passed
    over. Raises FileNotFoundError when there is none.
    """
    passages = {document.id: document for document in read_documents(texts, "train")}
    chats = [
        Document(name, _chat(passages[about], question, answer, tokenizer), passages[about].licence)
        for name, about, question, answer in _questions(questions)
        if about in passages
    ]
    if not chats:
        raise FileNotFoundError(f"No question in {questions} is about a document of {texts}: run `candor data pull`.")
    return chats


def _questions(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    """Id, id of the document that answers it, question and answer, in a fixed order; none that follows on another."""
    for file in sorted(folder.glob("*.jsonl")):
        with file.open(encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                if row["standalone"] and row["document"] is not None:
                    yield row["id"], row["document"], row["question"], row["answers"][0]


def _chat(passage: Document, question: str, answer: str, tokenizer: PreTrainedTokenizerBase) -> str:
    asked = f"{question}\n\nContext:\n{passage.text}\n\nQuestion: {question}"
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return str(tokenizer.apply_chat_template(messages, tokenize=False))
