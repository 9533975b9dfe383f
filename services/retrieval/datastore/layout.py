"""What every segment of a datastore has, whatever made it: a build of files or an addition through the API."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from services.retrieval.datastore.manifest import INDEXES, EncoderStamp
from shared.durable import replace

FILE = "layout.json"


class BadLayout(Exception):
    """It is not known what a datastore's segments have to have."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder.name}/{FILE} is damaged: remove it and run `candor data build`, with the options of before"
        )


class Layout(BaseModel):
    """The indexes, and the second encoder, whose vectors give the exact scores, if there is one. What a datastore has
    is said by no segment, so that it does not depend on whose segments there are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    indexes: list[str] = list(INDEXES)
    exact: EncoderStamp | None = None

    def write(self, folder: Path) -> None:
        """Write it, unless it is so already, so that a reader sees the old one or the new one, whole, also after power
        was lost. Raises BadLayout."""
        if read(folder) != self:
            replace(folder / FILE, self.model_dump_json().encode())


def read(folder: Path) -> Layout:
    """That of a datastore's folder; without a file, all indexes and one encoder. Raises BadLayout."""
    try:
        return Layout.model_validate_json((folder / FILE).read_bytes())
    except FileNotFoundError:
        return Layout()
    except ValidationError as error:
        raise BadLayout(folder) from error
