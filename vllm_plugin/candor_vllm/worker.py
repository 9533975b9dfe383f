"""The CPU worker and its runner (V1): masks are laid before a forward pass, statistics gathered after it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from vllm.config import VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.outputs import LogprobsTensors, SamplerOutput
from vllm.v1.worker import cpu_worker
from vllm.v1.worker.cpu_model_runner import CPUModelRunner

from candor_vllm import statistics, trace
from candor_vllm.checks import NotActive
from candor_vllm.mask import Masks
from candor_vllm.models import MaskedModel
from candor_vllm.sampler import StatisticsSampler
from candor_vllm.trace import Piece


class MaskedRunner(CPUModelRunner):
    """vLLM's CPU runner for a model whose experts are masked by request."""

    num_prompt_logprobs: dict[str, int]

    def __init__(self, vllm_config: VllmConfig, device: torch.device) -> None:
        super().__init__(vllm_config, device)
        config = self.model_config
        self.sampler = StatisticsSampler(config.logprobs_mode, config.use_fp64_gumbel)
        self._masks = Masks.of(config)
        # of the step at hand: where each request's last token is, and which requests want statistics
        self._last: torch.Tensor | None = None
        self._wanted: torch.Tensor | None = None

    def load_model(self, load_dummy_weights: bool = False) -> None:
        """Raises NotActive when what was loaded does not mask."""
        super().load_model(load_dummy_weights)
        if not isinstance(self.model, MaskedModel):
            raise NotActive(
                f"{type(self.model).__name__} does not mask. Is candor-vllm installed, and VLLM_PLUGINS unset?"
            )
        self.model.check_masked()

    def _init_kv_zero_meta(self) -> None:
        """Nothing: that is for kernels on GPUs; the CPU's runner wipes blocks by itself (`candor_vllm.memory`)."""

    def _prepare_inputs(self, scheduler_output: SchedulerOutput, num_scheduled_tokens: NDArray[np.int32]) -> Any:
        prepared = super()._prepare_inputs(scheduler_output, num_scheduled_tokens)
        params = [self.requests[request].sampling_params for request in self.input_batch.req_ids]
        rows = np.stack([self._masks.row(each) for each in params])
        wanted = [_extra(each, statistics.FIELD) == "1" for each in params]
        self.model.mask_rows.lay(rows, num_scheduled_tokens, any(wanted))
        self._last = prepared[0]
        self._wanted = torch.tensor(wanted).unsqueeze(1) if any(wanted) else None
        self.model.mask_rows.traces.begin(self._traced_pieces(num_scheduled_tokens))
        return prepared

    def _traced_pieces(self, counts: NDArray[np.int32]) -> list[Piece]:
        keys = [_extra(self.requests[request].sampling_params, trace.FIELD) for request in self.input_batch.req_ids]
        if not any(keys):
            return []
        starts, done = np.cumsum(counts) - counts, self.input_batch.num_computed_tokens_cpu
        return [
            Piece(key, row=int(starts[i]), count=int(counts[i]), position=int(done[i]))
            for i, key in enumerate(keys)
            if key
        ]

    def _sample(self, logits: torch.Tensor | None, spec_decode_metadata: Any) -> SamplerOutput:
        self.model.mask_rows.traces.end()
        # a prompt that is computed in pieces draws a token after each that nobody gets: it must cost no randomness
        unused = [(each, each.get_state()) for each in self._split_generators()[1].values()]
        adding = nullcontext()
        if self._wanted is not None:
            adding = self.sampler.adding(self._wanted, lambda _: self.model.mask_rows.shares(self._last))
        with adding:
            sampled = super()._sample(logits, spec_decode_metadata)
        for generator, state in unused:
            generator.set_state(state)
        return sampled

    def _bookkeeping_sync(self, *args: Any, **kwargs: Any) -> Any:
        """Without the generators that were set back: vLLM would by an offset, which a CPU's has not, and die of it."""
        generators = self.input_batch.generators
        self.input_batch.generators = self._split_generators()[0]
        try:
            return super()._bookkeeping_sync(*args, **kwargs)
        finally:
            self.input_batch.generators = generators

    def _split_generators(self) -> tuple[dict[int, torch.Generator], dict[int, torch.Generator]]:
        """By place in the batch: those whose token counts, and those whose prompt goes on."""
        goes_on = self.discard_request_mask.np
        split: tuple[dict[int, torch.Generator], dict[int, torch.Generator]] = ({}, {})
        for place, generator in self.input_batch.generators.items():
            split[bool(goes_on[place])][place] = generator
        return split

    def _get_prompt_logprobs_dict(
        self, hidden_states: torch.Tensor, num_scheduled_tokens: dict[str, int]
    ) -> dict[str, LogprobsTensors | None]:
        """One request at a time, so that the sampler is told whose tokens it sees."""
        pending = self.num_prompt_logprobs
        found: dict[str, LogprobsTensors | None] = {}
        for request in list(pending):
            self.num_prompt_logprobs = {request: pending[request]}
            with self._statistics_of_prompt(request) if request in num_scheduled_tokens else nullcontext():
                found |= super()._get_prompt_logprobs_dict(hidden_states, num_scheduled_tokens)
            if not self.num_prompt_logprobs:
                del pending[request]
        self.num_prompt_logprobs = pending
        return found

    def _statistics_of_prompt(self, request: str) -> AbstractContextManager[None]:
        if _extra(self.requests[request].sampling_params, statistics.FIELD) != "1":
            return nullcontext()
        start = int(self.query_start_loc.np[self.input_batch.req_id_to_index[request]])
        every = torch.ones(1, 1, dtype=torch.bool, device=self.device)
        return self.sampler.adding(every, lambda rows: self.model.mask_rows.shares(slice(start, start + rows)))


class MaskedWorker(cpu_worker.CPUWorker):
    """vLLM's CPU worker with the masked runner."""

    def init_device(self) -> None:
        """Raises ValueError under runner V2, whose masks need no worker of their own."""
        if self.use_v2_model_runner:
            raise ValueError("Runner V2 lays masks by itself: leave --worker-cls out.")
        # the class is looked up by name in the module, and there is no other way to choose it
        with patch.object(cpu_worker, "CPUModelRunner", MaskedRunner):
            super().init_device()

    def take_routing(self, key: str) -> tuple[list[list[list[float]]], list[list[list[int]]]]:
        """For collective_rpc: what `candor_vllm.trace` has under this key."""
        return self.model_runner.model.mask_rows.traces.take(key)


def _extra(params: SamplingParams | None, name: str) -> Any:
    return params.extra_args.get(name) if params is not None and params.extra_args else None
