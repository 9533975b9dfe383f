"""Documents of the tracing service's corpora: adding, listing and deleting them. A corpus is of one owner."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.base import OwnerId, Strict, Text
from shared.contracts.retrieval import NewDocument


class AddToCorpus(Strict):
    """POST /v1/corpora/{corpus}/documents."""

    documents: Annotated[list[NewDocument], Field(min_length=1, max_length=1000)]


class AddedToCorpus(BaseModel):
    """They are on disk, and in the next request's answer. `replaced` are the ids that stood there before."""

    corpus: str
    owner: OwnerId
    added: list[str]
    replaced: list[str]
    tokens: int


class ListedDocument(BaseModel):
    """A document without its text."""

    id: str
    source: str
    title: str
    licence: str
    url: str | None = None
    tokens: int


class DocumentList(BaseModel):
    """The answer to GET /v1/corpora/{corpus}/documents: `total` are all of the corpus, `offset` is that of the first.

    The order is that of the segments, so that a change between two pages may move documents from one to the other.
    """

    object: Literal["list"] = "list"
    data: list[ListedDocument]
    offset: int
    total: int


class NamedDocument(Strict):
    """A document by its corpus and its id."""

    model_config = ConfigDict(frozen=True)

    corpus: Text
    id: Text


class WhichShown(Strict):
    """POST /v1/documents/shown: which of these documents are there now, and may be shown to these owners."""

    documents: Annotated[list[NamedDocument], Field(max_length=100_000)]
    owners: list[OwnerId]


class ShownDocuments(BaseModel):
    """The answer to POST /v1/documents/shown: those that are there. What was deleted or is blocked is not."""

    documents: list[NamedDocument]


class DeletedFromCorpora(BaseModel):
    """The answer to DELETE: what was deleted is in no answer any more."""

    id: str
    object: Literal["document", "corpus"]
    deleted: Literal[True] = True
