"""The anchor: the public model every expert starts from, and the fingerprint that ties an expert to it."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from services.model.flexolmo.families import CausalLM, UnsupportedAnchor, family_of


class WrongAnchor(ValueError):
    """An expert was trained on another anchor than the one it is asked to join."""


@dataclass(frozen=True)
class Fingerprint:
    """What a model's weights are, independent of how its files are laid out."""

    sha256: str
    """Over every tensor: name, dtype, shape and bytes, in the order of the names."""
    tensors: dict[str, str]
    """The first 16 hex digits of each tensor's own SHA-256, so that a difference can be named."""

    @classmethod
    def of(cls, tensors: Iterable[tuple[str, Tensor]]) -> "Fingerprint":
        """Of named tensors, in any order."""
        digests = {name: _digest(name, tensor) for name, tensor in tensors}
        whole = hashlib.sha256(b"".join(digests[name] for name in sorted(digests)))
        return cls(whole.hexdigest(), {name: digest.hex()[:16] for name, digest in digests.items()})

    def difference(self, other: "Fingerprint") -> str | None:
        """The name of the first tensor that differs or that only one side has; None when equal."""
        for name in sorted(self.tensors.keys() | other.tensors.keys()):
            if self.tensors.get(name) != other.tensors.get(name):
                return name
        return None


def fingerprint(folder: Path) -> Fingerprint:
    """Hash the weights of the checkpoint in ``folder`` (every ``*.safetensors`` file in it).

    Raises FileNotFoundError when there is none.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no *.safetensors file: is it a transformers checkpoint?")
    return Fingerprint.of(_stored(files))


def read_config(folder: Path) -> Any:
    """The configuration of the model in ``folder``. Raises FileNotFoundError and UnsupportedAnchor."""
    if not (folder / "config.json").is_file():
        # transformers would take the name for one of a model hub and go looking there
        raise FileNotFoundError(f"There is no config.json in {folder}: an anchor is a transformers checkpoint.")
    try:
        config = AutoConfig.from_pretrained(folder)
    except ValueError as error:
        raise UnsupportedAnchor(f"{folder}: {error}") from error
    family_of(config, folder)
    return config


def load_anchor(folder: Path, dtype: torch.dtype = torch.bfloat16) -> CausalLM:
    """Load the public model with every weight frozen. Raises UnsupportedAnchor for a family that is not known."""
    model = cast(CausalLM, AutoModelForCausalLM.from_pretrained(folder, config=read_config(folder), dtype=dtype))
    model.requires_grad_(False)
    model.train(False)
    return model


def _stored(files: list[Path]) -> Iterator[tuple[str, Tensor]]:
    for file in files:
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118  safe_open is not a mapping
                yield name, tensors.get_tensor(name)


def _digest(name: str, tensor: Tensor) -> bytes:
    header = f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode()
    # Viewed as bytes, because numpy has no bfloat16.
    return hashlib.sha256(header + tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()).digest()
