"""The anchor: the public dense model every expert starts from, and the fingerprint that ties an expert to it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, LlamaForCausalLM


class WrongAnchor(ValueError):
    """An expert was trained on another anchor than the one it is asked to join."""


class UnsupportedAnchor(ValueError):
    """The dense model is of an architecture that cannot be made a mixture of experts here."""


@dataclass(frozen=True)
class Fingerprint:
    """What a model's weights are, independent of how its files are laid out."""

    sha256: str
    """Over every tensor: name, dtype, shape and bytes, in the order of the names."""
    tensors: dict[str, str]
    """The first 16 hex digits of each tensor's own SHA-256, so that a difference can be named."""

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
    digests: dict[str, bytes] = {}
    for file in files:
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118  safe_open is not a mapping
                digests[name] = _digest(name, tensors.get_tensor(name))
    whole = hashlib.sha256(b"".join(digests[name] for name in sorted(digests)))
    return Fingerprint(whole.hexdigest(), {name: digest.hex()[:16] for name, digest in digests.items()})


def load_anchor(folder: Path, dtype: torch.dtype = torch.bfloat16) -> LlamaForCausalLM:
    """Load the dense model with every weight frozen.

    Raises UnsupportedAnchor for anything but a Llama with a biasless SiLU FFN.
    """
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    config = model.config
    if not isinstance(model, LlamaForCausalLM) or config.hidden_act != "silu" or config.mlp_bias:
        raise UnsupportedAnchor(
            f"{folder} is a {config.model_type} model; an anchor must be a Llama with a biasless SiLU FFN."
        )
    model.requires_grad_(False)
    model.train(False)
    return model


def _digest(name: str, tensor: torch.Tensor) -> bytes:
    header = f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode()
    # Viewed as bytes, because numpy has no bfloat16.
    return hashlib.sha256(header + tensor.contiguous().view(torch.uint8).numpy().tobytes()).digest()
