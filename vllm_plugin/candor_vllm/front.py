"""The front process: each request's mask is checked, completed and made part of the cache's salt before it leaves.

A worker that meets a bad mask can only die; so none gets that far. vLLM has no hook for this, but every request of
the server, LLM and AsyncLLM becomes an EngineCoreRequest in ``InputProcessor.process_inputs``, which is wrapped.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import Any

from vllm.config import CompilationMode, VllmConfig
from vllm.exceptions import VLLMValidationError
from vllm.pooling_params import PoolingParams
from vllm.sampling_params import SamplingParams
from vllm.v1.engine import EngineCoreRequest
from vllm.v1.engine.input_processor import InputProcessor

from candor_vllm import mask, statistics, trace
from candor_vllm.checks import masked_architecture


class RequestRefused(VLLMValidationError, ValueError):
    """What a request asks cannot be; HTTP's 400. It has reached no other process."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What requests to a model may ask. `experts`: 0 when it has none that can be masked."""

    experts: int = 0
    public: frozenset[int] = frozenset()
    statistics: bool = False
    traces: bool = False

    @classmethod
    def of(cls, vllm_config: VllmConfig) -> Rules:
        """Raises ValueError as `public_experts` does."""
        if masked_architecture(vllm_config) is None:
            return cls()
        model = vllm_config.model_config
        experts = model.get_num_experts()
        # runner V2 has no hook for the log-probabilities of prompts; a compiled step cannot ask what it should trace
        v1, eager = not vllm_config.use_v2_model_runner, vllm_config.compilation_config.mode == CompilationMode.NONE
        return cls(experts, mask.public_experts(model.model, experts), statistics=v1, traces=v1 and eager)

    def allowed(self, params: SamplingParams | PoolingParams) -> frozenset[int]:
        """The experts that may compute for a request. Raises RequestRefused."""
        extra = (params.extra_args if isinstance(params, SamplingParams) else None) or {}
        if not self.experts:
            if mask.FIELD in extra:
                raise RequestRefused("This model has no experts that can be masked.", parameter=mask.FIELD)
            return frozenset()
        if isinstance(params, PoolingParams):
            raise RequestRefused("A model with masked experts generates; it does not pool.")
        if statistics.FIELD in extra:
            self._check_statistics(params, extra[statistics.FIELD])
        if trace.FIELD in extra:
            self._check_trace(params, extra[trace.FIELD])
        if mask.FIELD not in extra:
            return self.public
        try:
            return mask.parse(extra[mask.FIELD], self.experts)
        except mask.BadMask as error:
            raise RequestRefused(str(error), parameter=mask.FIELD) from None

    def _check_statistics(self, params: SamplingParams, value: object) -> None:
        if value != "1":
            raise RequestRefused("statistics is '1' or left out.", parameter=statistics.FIELD, value=value)
        if not self.statistics:
            raise RequestRefused("Statistics need vLLM's runner V1.", parameter=statistics.FIELD)
        if params.detokenize:
            raise RequestRefused(
                "Statistics need detokenize=False: pseudo-tokens have no text.", parameter=statistics.FIELD
            )
        least = statistics.columns(self.experts)
        for name in ("logprobs", "prompt_logprobs"):
            asked = getattr(params, name)
            if asked is not None and asked < least:
                raise RequestRefused(f"Statistics need {name} of at least {least}.", parameter=name, value=asked)

    def _check_trace(self, params: SamplingParams, key: object) -> None:
        if not isinstance(key, str) or not 1 <= len(key) <= 64:
            raise RequestRefused("routing is a key of 1 to 64 characters.", parameter=trace.FIELD, value=key)
        if not self.traces:
            raise RequestRefused("Traces need vLLM's runner V1 and --enforce-eager.", parameter=trace.FIELD)
        if params.n > 1:
            raise RequestRefused("A traced request has one sample.", parameter="n", value=params.n)


def check_requests() -> None:
    """Wrap ``InputProcessor.process_inputs``, once."""
    original = InputProcessor.process_inputs
    if hasattr(original, "checks_masks"):
        return

    @wraps(original)
    def process_inputs(
        self: InputProcessor,
        request_id: str,
        prompt: Any,
        params: SamplingParams | PoolingParams,
        *args: Any,
        **kwargs: Any,
    ) -> EngineCoreRequest:
        rules = _rules(self)
        allowed = rules.allowed(params)
        if rules.experts and kwargs.get("resumable"):
            # its next part could come under another mask, over keys and values computed under this one
            raise RequestRefused("A request with masked experts comes whole: streamed input is refused.")
        request = original(self, request_id, prompt, params, *args, **kwargs)
        if rules.experts:
            assert request.sampling_params is not None
            text = mask.render(allowed)
            # the request's own copy of the parameters, but perhaps not of this dictionary
            extra = {**(request.sampling_params.extra_args or {}), mask.FIELD: text}
            request.sampling_params.extra_args = extra
            request.cache_salt = mask.salt(text, request.cache_salt)
            if trace.FIELD in extra:
                # what comes from the cache is not computed, and could not be traced
                request.cache_salt = f"traced {extra[trace.FIELD]}; {request.cache_salt}"
        return request

    process_inputs.checks_masks = True  # type: ignore[attr-defined]
    InputProcessor.process_inputs = process_inputs


def _rules(processor: InputProcessor) -> Rules:
    found: Rules | None = getattr(processor, "mask_rules", None)
    if found is None:
        found = processor.mask_rules = Rules.of(processor.vllm_config)
    return found
