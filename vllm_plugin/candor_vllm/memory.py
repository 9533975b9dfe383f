"""The memory of keys and values is wiped when it changes hands.

vLLM leaves in a block what its last request wrote, and relies on attention weights of 0 for the places not yet written.
But 0 * NaN is NaN: one expert whose weights are broken would spoil, through memory, requests that did not allow it.
"""

from __future__ import annotations

from vllm.v1.kv_cache_interface import KVCacheConfig


def wipe_blocks() -> None:
    """Have the scheduler name the blocks that are handed out, and the worker fill them with 0, as for Mamba layers."""
    KVCacheConfig.needs_kv_cache_zeroing = property(lambda _: True)
