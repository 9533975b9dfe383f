"""massive-serve's API (PyPI `massive-serve`), so that its clients find passages here unmodified."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from shared.contracts.base import Open, OwnerId
from shared.contracts.misplaced import not_nested
from shared.contracts.retrieval import Passage, SearchRequest, SearchResponse

_Query = Annotated[str, Field(min_length=1)]


class MassiveSearchRequest(Open):
    """POST /search. `domains` names owners, one or many, or separated by commas.

    massive-serve serves one datastore and ignores `domains`, so its clients send names that mean nothing here: a name
    that is no owner's adds nothing to the public data.
    """

    __pydantic_extra__: dict[Annotated[str, AfterValidator(not_nested)], Any]

    query: _Query | Annotated[list[_Query], Field(min_length=1, max_length=256)]
    n_docs: Annotated[int, Field(ge=1, le=1000)] = 1
    nprobe: Annotated[int, Field(ge=1)] | None = None
    domains: str | list[str] | None = None

    def named(self) -> list[str]:
        """The names in `domains`."""
        parts = self.domains.split(",") if isinstance(self.domains, str) else self.domains or []
        return [name for name in map(str.strip, parts) if name]

    def search(self, owners: list[OwnerId] | None) -> SearchRequest:
        """The same as a request to /v1/search, for these owners."""
        one, many = (self.query, None) if isinstance(self.query, str) else (None, self.query)
        return SearchRequest(query=one, queries=many, k=self.n_docs, nprobe=self.nprobe, owners=owners)


class MassiveResults(BaseModel):
    """By query, the passages, their scores and ids, best first."""

    scores: list[list[float]]
    passages: list[list[str]]
    IDs: list[list[str]]


class MassiveSearchResponse(BaseModel):
    """massive-serve's answer, and what it does not say: whose the passages are, and whose were searched."""

    message: str
    query: str | list[str]
    n_docs: int
    nprobe: int | None
    results: MassiveResults
    owners: list[OwnerId]
    licences: list[list[str]]
    passage_owners: list[list[OwnerId]]

    @classmethod
    def of(cls, request: MassiveSearchRequest, found: SearchResponse) -> MassiveSearchResponse:
        """The answer to a request from that of /v1/search."""
        unknown = [name for name in request.named() if name not in found.owners]
        without = f"; nothing of {', '.join(unknown)}, which is no owner with data here" if unknown else ""

        def each(field: str) -> list[list[Any]]:
            return [[getattr(passage, field) for passage in passages] for passages in found.results]

        return cls(
            message=f"Searched {', '.join(found.owners) or 'nothing'}{without}.",
            query=request.query,
            n_docs=request.n_docs,
            nprobe=request.nprobe,
            results=MassiveResults(
                scores=[[_score(passage) for passage in passages] for passages in found.results],
                passages=each("text"),
                IDs=each("id"),
            ),
            owners=found.owners,
            licences=each("licence"),
            passage_owners=each("owner"),
        )


def _score(passage: Passage) -> float:
    assert passage.scores.exact is not None  # of every passage that `compactds` finds
    return passage.scores.exact
