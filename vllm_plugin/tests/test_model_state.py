"""Runner V2's hook as far as a CPU allows: a request's row reaches its tokens. The forward pass needs a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from vllm import SamplingParams
from vllm.v1.core.sched.output import NewRequestData
from vllm.v1.worker.gpu.input_batch import InputBatch, InputBuffers

import candor_vllm
import tiny
from candor_vllm.model_state import MaskedModelState
from candor_vllm.models import MaskedMixtralForCausalLM
from candor_vllm.rows import MaskRows
from conftest import OWNERS, PUBLIC

CPU = torch.device("cpu")


class Model(nn.Module):
    """As much of a masked model as its state touches."""

    def __init__(self) -> None:
        super().__init__()
        self.mask_rows = MaskRows(64, tiny.EXPERTS, 2, CPU, fixed=True)
        self.checked = False

    def check_masked(self) -> None:
        self.checked = True


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory = tiny.save(tiny.build("mixtral"), tmp_path_factory.mktemp("v2"), OWNERS)
    return candor_vllm.engine_args(
        str(directory), skip_tokenizer_init=True, enforce_eager=True, max_num_seqs=4, max_model_len=128
    ).create_engine_config()


def new_request(mask: str | None) -> NewRequestData:
    return NewRequestData(
        req_id="r",
        prompt_token_ids=[1],
        mm_features=[],
        sampling_params=SamplingParams(extra_args=None if mask is None else {"experts_on": mask}),
        pooling_params=None,
        block_ids=([0],),
        num_computed_tokens=0,
        lora_request=None,
    )


def batch(places: list[int], counts: list[int]) -> InputBatch:
    """A step in which the requests at these places have so many tokens."""
    made = InputBatch.make_dummy(len(places), sum(counts), InputBuffers(4, 64, CPU))
    made.idx_mapping_np = np.array(places)
    made.num_scheduled_tokens = np.array(counts, dtype=np.int32)
    return made


def test_the_model_names_its_state() -> None:
    assert MaskedMixtralForCausalLM.get_model_state_cls() is MaskedModelState


def test_each_token_of_a_step_has_the_row_of_its_request(config: Any) -> None:
    model = Model()
    state = MaskedModelState(config, model, None, CPU)
    assert model.checked
    for place, mask in enumerate(["0,1", "2", None, "0,1,2,3"]):
        state.add_request(place, new_request(mask))

    def allowed(tokens: int) -> list[set[int]]:
        return [set(np.flatnonzero(~row)) for row in model.mask_rows.forbidden[:tokens].numpy()]

    state.prepare_inputs(batch([3, 1, 0], [1, 3, 2]), None)
    assert allowed(6) == [{0, 1, 2, 3}, {2}, {2}, {2}, {0, 1}, {0, 1}]
    # another order, and a place that a new request has taken
    state.add_request(1, new_request("1,3"))
    state.prepare_inputs(batch([0, 1, 2], [1, 1, 1]), None)
    assert allowed(3) == [{0, 1}, {1, 3}, set(PUBLIC)]
