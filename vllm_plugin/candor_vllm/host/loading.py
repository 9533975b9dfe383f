"""Starting vLLM's engine on a checkpoint, with the plugin or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vllm.config import CompilationMode
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.async_llm import AsyncLLM

from candor_vllm import engine_args, require_active
from candor_vllm.host.fingerprint import fingerprint
from candor_vllm.host.model import Model
from candor_vllm.host.wire import Hello


def load(directory: Path, *, dtype: str, max_length: int | None, max_batch: int, vllm: Mapping[str, Any]) -> Model:
    """Load a checkpoint into an engine of vLLM; inside a running event loop.

    `vllm`: engine arguments of vLLM's own, over those chosen here. Raises ValueError or RuntimeError when the
    checkpoint has no experts, or the plugin is not active.
    """
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    experts = _experts(config)
    own = config["max_position_embeddings"]
    longest = min(own, max_length or own)
    chosen = {
        "dtype": dtype,
        "max_num_seqs": max_batch,
        # one more than is ever asked for: vLLM cannot score a prompt without room for a token after it
        "max_model_len": longest + 1,
        "hf_overrides": {"max_position_embeddings": own + 1},
        # tokens in, tokens out
        "skip_tokenizer_init": True,
    }
    configured = engine_args(str(directory), **{**chosen, **vllm}).create_engine_config(UsageContext.ENGINE_CONTEXT)
    require_active(configured)
    if configured.use_v2_model_runner:
        raise RuntimeError("the statistics of tokens need vLLM's runner V1; set VLLM_USE_V2_MODEL_RUNNER=0")
    llm = AsyncLLM.from_vllm_config(configured, usage_context=UsageContext.ENGINE_CONTEXT, disable_log_stats=True)
    hello = Hello(
        architecture=config["model_type"],
        experts=experts,
        active=config["num_experts_per_tok"],
        vocabulary=config["vocab_size"],
        max_length=longest,
        ends=sorted(_ends(directory)),
        fingerprint=fingerprint(directory),
        plugin=True,
        routing=configured.compilation_config.mode == CompilationMode.NONE,
    )
    return Model(llm, hello)


def _experts(config: Mapping[str, Any]) -> int:
    experts: int | None = config.get("num_local_experts") or config.get("num_experts")
    if not experts:
        raise ValueError("the checkpoint has no experts to mask")
    return experts


def _ends(directory: Path) -> set[int]:
    """The tokens that end a sequence, from the generation settings and the model's own."""
    ends: set[int] = set()
    for name in ("generation_config.json", "config.json"):
        file = directory / name
        found = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id") if file.is_file() else None
        ends.update([found] if isinstance(found, int) else found or [])
    return ends
