"""Encoders that are known by name: whose they are, under which licence, and how they want to be asked."""

from __future__ import annotations

from dataclasses import dataclass

_EMBED = "<|embed|>\n"
_FIND = f"<|user|>\nGiven a question, retrieve passages that help to answer it\n{_EMBED}"


@dataclass(frozen=True)
class Published:
    """An encoder. `tokens`: what it reads of a text, or 0 for as many as its model has positions. `instructed`: a
    Llama or Mistral that was trained to attend both ways and to be told what for (GRIT, Muennighoff et al. 2024); the
    instructions `query` and `document` are read and have no part in the mean over the tokens."""

    source: str
    licence: str
    dimension: int
    commercial: bool = True
    tokens: int = 0
    instructed: bool = False
    query: str = ""
    document: str = ""


PUBLISHED = {
    "minilm": Published("sentence-transformers/all-MiniLM-L6-v2", "Apache-2.0", 384),
    "wordllama": Published("dleemiller/WordLlama, l2_supercat 256-d, of the package wordllama", "MIT", 256),
    "gritlm-7b": Published(
        "GritLM/GritLM-7B", "Apache-2.0", 4096, tokens=2048, instructed=True, query=_FIND, document=_EMBED
    ),
    "reasonir-8b": Published(
        "reasonir/ReasonIR-8B",
        "CC-BY-NC-4.0",
        4096,
        commercial=False,
        tokens=8192,
        instructed=True,
        query=_FIND,
        document=_EMBED,
    ),
    "contriever": Published("facebook/contriever-msmarco", "CC-BY-NC-4.0", 768, commercial=False),
}
"""By the folder's name in CANDOR_HOME/models. A folder that is not named here is read as sentence-transformers wrote
it, and its licence is its publisher's."""


def licence(name: str) -> str | None:
    """That of an encoder of the table; None for any other, whose publisher says it."""
    known = PUBLISHED.get(name)
    return known.licence if known else None


def warnings(name: str) -> list[str]:
    """What whoever starts a service with this encoder has to know."""
    known = PUBLISHED.get(name)
    if known is None or known.commercial:
        return []
    return [f"the encoder {name!r} ({known.source}) is licensed {known.licence}: not for commercial use"]
