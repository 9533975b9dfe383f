"""The codebook of a datastore: its quantiser, and what it is for and from."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from services.retrieval.datastore.manifest import EncoderStamp
from services.retrieval.leann.quantiser import Quantiser
from shared.durable import replace

FILE = "leann.codebook"


class BadCodebook(Exception):
    """A datastore has no codebook that could be used; the message says why."""


class Origin(BaseModel):
    """Whose vectors the codebook is for, and on what it was trained: passages of public owners alone, so that leaving
    any other owner out changes nothing in it. `inputs` is a hash of the segments named."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: EncoderStamp
    segments: list[str]
    passages: int
    inputs: str


class Codebook:
    """A quantiser with its origin. `id` is a hash of all of it, which codes name to say whose they are."""

    def __init__(self, origin: Origin, quantiser: Quantiser) -> None:
        self.origin = origin
        self.quantiser = quantiser
        self.id = hashlib.sha256(_bytes(self)).hexdigest()[:16]

    def write(self, folder: Path) -> None:
        """Write it so that a reader sees the old one or the new one, whole, also after power was lost."""
        replace(folder / FILE, _bytes(self))


def read(folder: Path, encoder: EncoderStamp) -> Codebook:
    """The codebook of a datastore's folder. Raises BadCodebook if there is none, or none for this encoder."""
    try:
        file = BytesIO((folder / FILE).read_bytes())
        about, mean, basis, weights, centroids = (np.load(file, allow_pickle=False) for _ in range(5))
        origin = Origin.model_validate_json(about.tobytes())
    except FileNotFoundError as error:
        raise BadCodebook("there is no codebook") from error
    except (ValueError, EOFError, ValidationError) as error:
        raise BadCodebook("the codebook is damaged") from error
    if origin.encoder != encoder:
        made = origin.encoder
        raise BadCodebook(f"the codebook is for vectors of encoder {made.name} {made.revision}, which is not loaded")
    return Codebook(origin, Quantiser(mean, basis, weights, centroids))


def origin(folder: Path) -> Origin | None:
    """That of the codebook of a datastore's folder, whatever its encoder; None without one. Raises BadCodebook."""
    try:
        with (folder / FILE).open("rb") as file:
            return Origin.model_validate_json(np.load(file, allow_pickle=False).tobytes())
    except FileNotFoundError:
        return None
    except (ValueError, EOFError, ValidationError) as error:
        raise BadCodebook("the codebook is damaged") from error


def _bytes(codebook: Codebook) -> bytes:
    # arrays one after the other, not an archive: that would hold the time it was written
    file = BytesIO()
    quantiser = codebook.quantiser
    np.save(file, np.frombuffer(codebook.origin.model_dump_json().encode(), np.uint8))
    for array in (quantiser.mean, quantiser.basis, quantiser.weights, quantiser.centroids):
        np.save(file, array)
    return file.getvalue()
