"""The second encoders: those of datastores whose exact scores are not by the encoder of the settings."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from services.retrieval.datastore.manifest import EncoderStamp
from services.retrieval.encoders import base
from services.retrieval.encoders.base import Card, Encoder
from services.retrieval.encoders.serial import SerialEncoder
from services.retrieval.errors import NoSecondEncoder


class SecondEncoders:
    """Each is loaded when it is first needed, and stays. Safe to use from several threads."""

    def __init__(self, home: Path, threads: int) -> None:
        """`home` has the models, `threads` is as in `base.load`."""
        self._home = home
        self._threads = threads
        self._cards: dict[EncoderStamp, Card] = {}
        self._loaded: dict[EncoderStamp, Encoder] = {}
        self._loading = Lock()

    def usable(self, stamp: EncoderStamp) -> bool:
        """Whether it is there, and makes the vectors that it made when the datastore was built."""
        # looked for once, also if it is of another revision: that is a hash of all its weights
        if stamp.name not in {known.name for known in self._cards}:
            try:
                card = base.describe(stamp.name, self._home)
            except Exception:  # it is not there, not supported, or its files are not what they should be
                return False
            self._cards[EncoderStamp.of(card)] = card
        return stamp in self._cards

    def __call__(self, stamp: EncoderStamp) -> Encoder:
        """The encoder, loaded. Raises NoSecondEncoder for one that is not usable."""
        with self._loading:
            if stamp not in self._loaded:
                if not self.usable(stamp):
                    raise NoSecondEncoder(stamp.name, stamp.revision)
                self._loaded[stamp] = SerialEncoder(base.load(self._cards[stamp], threads=self._threads))
            return self._loaded[stamp]
