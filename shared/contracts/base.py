"""The ground of all wire models: strict where the fields are ours, open where they are OpenAI's."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

OwnerId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
"""An owner's id, as owners.yaml spells it."""


def _unicode(text: str) -> str:
    """JSON can write half of a surrogate pair, which is no text: nothing can encode, tokenise or store it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"half of a surrogate pair at {error.start}: this is not valid Unicode") from error
    return text


Text = Annotated[str, AfterValidator(_unicode)]
"""A text that a user wrote."""


def _kept(value: Any) -> Any:
    """Every text of this JSON, names of fields too: no message can carry a half pair, and no database a NUL."""
    level: list[Any] = [value]
    while level:
        for text in level:
            if isinstance(text, str) and "\0" in _unicode(text):
                raise ValueError("a character of it is NUL")
        level = [part for one in level for part in _parts(one)]
    return value


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []


Kept = Annotated[dict[str, Any], AfterValidator(_kept)]
"""An object of JSON that is stored as it came."""

Milliseconds = Annotated[float, Field(ge=0)]


class Strict(BaseModel):
    """A model of our own: an unknown field is an error that names it."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, hide_input_in_errors=True)


class Open(BaseModel):
    """A model of someone else's protocol: unknown fields are kept, so that they can be listed in warnings."""

    model_config = ConfigDict(extra="allow", populate_by_name=True, hide_input_in_errors=True)

    def unknown(self) -> list[str]:
        """Names of the fields the client sent that this model does not have, in the order sent."""
        return list(self.model_extra or {})


class Problem(BaseModel):
    """RFC 9457 problem details: the error body of every path that is not OpenAI's."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    request_id: str | None = None


class Readiness(BaseModel):
    """What /readyz answers: 200 when ready, 503 with the phase until then."""

    ready: bool
    phase: str
    warnings: list[str] = []
