"""What a client of the retrieval service can do wrong, each with the field and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable

from shared.http.errors import CandorError, InvalidRequest, NotFound, NotReady


class UnknownDatastore(NotFound):
    """The request names a datastore that is not loaded."""

    code = "unknown_datastore"

    def __init__(self, datastore: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no datastore {datastore!r}. Known: {', '.join(known)}.", field="datastore")


class UnknownOwner(NotFound):
    """The request names an owner that neither the registry nor the datastore has."""

    code = "unknown_owner"

    def __init__(self, owner: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no owner {owner!r}. Known: {', '.join(sorted(known))}.", field="owners")


class UnknownDocument(NotFound):
    """None of the request's owners has a document of this id."""

    code = "unknown_document"

    def __init__(self, document: str, datastore: str, owners: Iterable[str]) -> None:
        among = ", ".join(owners) or "no owner"
        super().__init__(f"Datastore {datastore!r} has no document {document!r} of {among}.", field="document")


class NotWritable(CandorError):
    """The datastore cannot be changed: its files cannot be written to, or it is not known what was deleted."""

    status, code = 409, "datastore_not_writable"

    def __init__(self, datastore: str, why: str) -> None:
        super().__init__(f"Datastore {datastore!r} cannot be changed: {why}.", field="datastore")


class IndexNotBuilt(InvalidRequest):
    """The datastore was built without the index that the request names."""

    status, code = 422, "index_not_built"

    def __init__(self, index: str, datastore: str) -> None:
        super().__init__(f"Datastore {datastore!r} has no index {index!r}: run `candor data build`.", field="index")


class EmptyQuery(InvalidRequest):
    """A query is nothing but white space."""

    code = "empty_query"

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} has no words.", field=field)


class BadFilter(InvalidRequest):
    """The filter of a search is none."""

    status, code = 422, "bad_filter"

    def __init__(self, place: str, fault: str) -> None:
        super().__init__(f"{fault}.", field=place)


class TooManyPassages(InvalidRequest):
    """k times the number of queries is more than one answer holds."""

    code = "too_many_passages"

    def __init__(self, k: int, queries: int, limit: int) -> None:
        detail = (
            f"{queries} queries with k = {k} ask for {k * queries:,} passages; at most {limit:,} are given at once."
        )
        super().__init__(detail, field="k")


class NoSecondEncoder(NotReady):
    """The encoder of a datastore's exact stage cannot be loaded."""

    def __init__(self, name: str, revision: str) -> None:
        super().__init__(
            f"The encoder {name} {revision}, which gives the datastore's exact scores, is not in the models folder: "
            "put it there and start the retrieval service again, or run `candor data build --exact none`."
        )


class TooMuchWork(InvalidRequest):
    """A request of so many queries would embed or score more passages than one request may."""

    code = "too_much_work"

    def __init__(self, field: str, each: int, queries: int, does: str, limit: int) -> None:
        detail = (
            f"{queries} queries with {field} = {each:,} may {does} {each * queries:,} passages; at most {limit:,} in"
            f" one request. Set `{field}` to {limit // queries:,} or less, or send fewer queries at once."
        )
        super().__init__(detail, field=field)


class QueriesTooLong(InvalidRequest):
    """The queries of a search have together more characters than one request may."""

    code = "input_too_long"

    def __init__(self, characters: int, limit: int) -> None:
        detail = f"The queries have {characters:,} characters; a search reads at most {limit:,}. Send fewer, or parts."
        super().__init__(detail, field="queries")


class TooManyTokens(InvalidRequest):
    """The texts of a request have together more tokens than one request may."""

    code = "too_many_tokens"

    def __init__(self, field: str, tokens: int, limit: int) -> None:
        detail = f"{field} has {tokens:,} tokens in all; at most {limit:,} are read in one request. Send it in parts."
        super().__init__(detail, field=field)


class UnknownEncoder(NotFound):
    """The request names an embedding model that is not loaded."""

    code = "model_not_found"

    def __init__(self, model: str, known: str) -> None:
        super().__init__(f"There is no embedding model {model!r}. Known: {known}.", field="model")


class UnknownReranker(NotFound):
    """The request names a reranking model that there is not."""

    code = "model_not_found"

    def __init__(self, model: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no reranking model {model!r}. Known: {', '.join(known)}.", field="model")


class NoLanguageModel(CandorError):
    """The language model cannot be reached, or refuses, and the request is for nothing else."""

    status, code = 503, "no_language_model"

    def __init__(self, cause: str) -> None:
        super().__init__(f"The language model could not be asked ({cause}). Try again, or name another.", retry_after=2)


class WrongDimensions(InvalidRequest):
    """The embedding model has another number of dimensions, and cannot shorten its vectors."""

    code = "wrong_dimensions"

    def __init__(self, asked: int, has: int) -> None:
        super().__init__(f"The vectors have {has} dimensions, not {asked}.", field="dimensions")


class InputTooLong(InvalidRequest):
    """A text has more tokens than the embedding model reads."""

    code = "input_too_long"

    def __init__(self, field: str, tokens: int, limit: int) -> None:
        super().__init__(f"{field} has {tokens:,} tokens; the model reads {limit}. Send it in parts.", field=field)


class TextTooLong(InvalidRequest):
    """A text has more characters than the language model is given to read."""

    code = "input_too_long"

    def __init__(self, field: str, characters: int, limit: int) -> None:
        super().__init__(f"{field} has {characters:,} characters; the model reads {limit:,}. Send less.", field=field)
