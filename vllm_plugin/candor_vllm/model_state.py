"""Runner V2 (GPUs): masks through vLLM's own hook for a model's state.

Written against the interface of vLLM 0.32 (``vllm/v1/worker/gpu/model_states``) and tested as far as a CPU allows:
that rows reach the right tokens. **Not yet run on a GPU.** Runner V2 offers no hook where the log-probabilities of
prompts are gathered, so requests for statistics are refused under it (`candor_vllm.front`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from vllm.config import VllmConfig
from vllm.v1.core.sched.output import NewRequestData
from vllm.v1.worker.gpu.input_batch import InputBatch
from vllm.v1.worker.gpu.mm.encoder_cache import EncoderCache
from vllm.v1.worker.gpu.model_states.default import DefaultModelState
from vllm.v1.worker.gpu.states import RequestState

from candor_vllm.mask import Masks
from candor_vllm.models import MaskedModel


class MaskedModelState(DefaultModelState):
    """Keeps a row for each request that the runner knows, and lays those of a step before the forward pass."""

    def __init__(
        self, vllm_config: VllmConfig, model: MaskedModel, encoder_cache: EncoderCache | None, device: torch.device
    ) -> None:
        """Raises RuntimeError when some layer of `model` would route past its mask."""
        super().__init__(vllm_config, model, encoder_cache, device)
        model.check_masked()
        self._masks = Masks.of(vllm_config.model_config)
        # (requests, experts) True where forbidden; until a request comes, its row forbids all but the public experts
        self._rows = np.tile(self._masks.row(None), (self.max_num_reqs, 1))

    def add_request(self, req_index: int, new_req_data: NewRequestData) -> None:
        """A request takes place `req_index`."""
        super().add_request(req_index, new_req_data)
        self._rows[req_index] = self._masks.row(new_req_data.sampling_params)

    def prepare_inputs(self, input_batch: InputBatch, req_states: RequestState) -> dict[str, Any]:
        """Called before each forward pass; padding after the last token keeps whatever row was there."""
        rows = self._rows[input_batch.idx_mapping_np[: input_batch.num_reqs]]
        counts = input_batch.num_scheduled_tokens[: input_batch.num_reqs]
        self.model.mask_rows.lay(rows, counts, statistics=False)
        return super().prepare_inputs(input_batch, req_states)
