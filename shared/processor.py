"""What this machine's processor does well."""

from __future__ import annotations

from typing import Literal

_MULTIPLIES_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")
"""Instructions as `torch.cpu.get_capabilities` names them; the last is Arm's."""


def fast_dtype() -> Literal["bfloat16", "float32"]:
    """The number format, by torch's name, in which this processor computes a network fastest.

    bfloat16 halves the memory and is two or three times as fast where the processor multiplies it. Where it does not,
    torch emulates it: measured on AVX2, a prompt then takes eight times as long as in float32.
    """
    import torch  # noqa: PLC0415  seconds to import, and what imports this module starts at once

    has = torch.cpu.get_capabilities()
    return "bfloat16" if any(has.get(name) for name in _MULTIPLIES_BFLOAT16) else "float32"
