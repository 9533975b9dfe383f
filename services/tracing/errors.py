"""What a client of the tracing service can do wrong, each with the field and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable

from shared.http.errors import CandorError, InvalidRequest, NotFound


class UnknownOwner(NotFound):
    """The request names an owner that neither the registry nor a corpus has."""

    code = "unknown_owner"

    def __init__(self, owner: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no owner {owner!r}. Known: {', '.join(sorted(known))}.", field="owners")


class UnknownCorpus(NotFound):
    """The request names a corpus that is not loaded."""

    code = "unknown_corpus"

    def __init__(self, corpus: str, known: Iterable[str], field: str | None = "corpora") -> None:
        super().__init__(f"There is no corpus {corpus!r}. Known: {', '.join(sorted(known))}.", field=field)


class UnknownDocument(NotFound):
    """The corpus has no document of this id."""

    code = "unknown_document"

    def __init__(self, corpus: str, document: str) -> None:
        super().__init__(f"Corpus {corpus!r} has no document {document!r}.")


class OwnerNotPermitted(CandorError):
    """The request asks for data of an owner who is not among its owners."""

    status, code = 403, "owner_not_permitted"

    def __init__(self, corpus: str, owner: str, field: str | None = "corpora") -> None:
        detail = f"Corpus {corpus!r} is of owner {owner!r}, who is not among the owners of this request."
        super().__init__(detail, field=field)


class TextTooLong(CandorError):
    """A text is longer than the service takes."""

    status, code = 413, "text_too_long"

    def __init__(self, field: str, length: int, limit: int, unit: str = "code points") -> None:
        detail = f"{field} has {length:,} {unit}; at most {limit:,} are taken. Send it in parts."
        super().__init__(detail, field=field)


class BadTokens(InvalidRequest):
    """The token ids are none of this tokenizer, or no text that could be shown."""

    code = "bad_tokens"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, field="tokens")


class NotWritable(CandorError):
    """The corpus cannot be changed: it is not known what was deleted, or it is one that takes no changes."""

    status, code = 409, "corpus_not_writable"

    def __init__(self, corpus: str, why: str) -> None:
        super().__init__(f"Corpus {corpus!r} cannot be changed: {why}.")
