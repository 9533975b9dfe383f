"""Fields of Candor's own that stand beside OpenAI's, and not in the object `candor`: refused, where others are ignored.

Who writes `owners` or `experts` there wants an owner's data left out. An answer with a warning would have it in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import get_args

from pydantic import BaseModel

_CONSENT = ("candor", "owners", "experts", "exclude")
"""Refused in any word of a name: `Candour`, `exclude_owners`, `expertsOff`."""
_ROOTS = ("candor", "owner", "expert", "exclu")
"""Refused in any run of letters: `expertsoff`, `own_ers`, `exclusion`."""
_ELSEWHERE = ("documents", "return_routed_experts")
"""vLLM's and SGLang's fields, which mean something else."""
_OTHERS = ("include", "memfree", "retrieval", "sampling", "trace", "tracing")
"""Refused as a whole name: `include_reasoning` is another server's."""
_WRAPPERS = ("extra_body", "vllm_xargs")
"""The OpenAI SDK's argument, whose content the SDK would have put at the top; and where vLLM looks for a mask."""
_LONGEST = 16
_LONGEST_NAME = 128
"""A name may be as long as a request, and looking for slips in it would take the event loop half a minute."""
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


def not_misplaced(options: type[BaseModel]) -> Callable[[str], str]:
    """A check of the names of fields that OpenAI does not have, for requests whose `candor` is of these options.

    It raises ValueError for a name in `options`, however deep, and for the names of consent with one slip in them.
    """
    places: dict[str, list[str]] = {}
    for name, place in _places(options, "candor"):
        places.setdefault(name, []).append(place)
    others = _variants(_OTHERS)

    def check(name: str) -> str:
        if len(name) > _LONGEST_NAME:
            raise ValueError(f"no field has a name of more than {_LONGEST_NAME} characters")
        plain = name.lower().replace("-", "_")
        if plain in _ELSEWHERE:
            return name
        if plain in places:
            raise ValueError(f"this belongs inside the object `candor`, as {' or '.join(places[plain])}")
        if plain in _WRAPPERS or _near(plain, others) or _of_consent(name):
            raise ValueError(
                "nothing reads this at the top of a request. The object `candor` there says what Candor is to do; "
                f"it has {', '.join(options.model_fields)}"
            )
        return name

    return check


def not_nested(name: str) -> str:
    """A check of the names of fields that OpenAI does not have in the parts of a request. It raises ValueError for the
    names of consent, with one slip in them or none."""
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"no field has a name of more than {_LONGEST_NAME} characters")
    if name.lower() not in _ELSEWHERE and _of_consent(name):
        raise ValueError("nothing reads this here: the object `candor` belongs at the top of the request")
    return name


def _places(options: type[BaseModel], above: str) -> Iterator[tuple[str, str]]:
    for name, field in options.model_fields.items():
        place = f"{above}.{name}"
        yield name, place
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _places(kind, place)


def _variants(words: Iterable[str]) -> set[str]:
    """The words, and each without one of its letters: two words that differ by one slip of the pen share one."""
    return {variant for word in words for variant in (word, *(word[:i] + word[i + 1 :] for i in range(len(word))))}


_CONSENT_VARIANTS = _variants(_CONSENT)


def _of_consent(name: str) -> bool:
    letters = "".join(filter(str.isalpha, name.lower()))
    return any(root in letters for root in _ROOTS) or any(
        _near(word.group().lower(), _CONSENT_VARIANTS) for word in _WORD.finditer(name)
    )


def _near(word: str, variants: set[str]) -> bool:
    return len(word) <= _LONGEST and not variants.isdisjoint(_variants([word]))
