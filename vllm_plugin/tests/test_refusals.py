"""What is refused, and that the engine survives it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from vllm import SamplingParams
from vllm.model_executor.models.registry import ModelRegistry
from vllm.v1.engine.input_processor import InputProcessor

import candor_vllm
import tiny
from candor_vllm.checks import NotActive
from candor_vllm.plugin import WORKER
from conftest import OWNERS, Served, prompt


@pytest.mark.parametrize("mask", ["", "4", "0,4", "-1", "0,,1", "0 1", "0,1,", "all", "\u0660", "99999", 0, [0], None])
def test_a_bad_mask_is_refused_before_the_worker_and_the_engine_survives(served: Served, mask: Any) -> None:
    request = {"prompt_token_ids": prompt(1)}
    bad = SamplingParams(max_tokens=2, detokenize=False, extra_args={"experts_on": mask})
    good = SamplingParams(max_tokens=2, detokenize=False, ignore_eos=True, extra_args={"experts_on": "0"})
    with pytest.raises(ValueError, match="experts_on"):
        served.llm.generate([request, request], [good, bad], use_tqdm=False)
    (answer,) = served.llm.generate([request], good, use_tqdm=False)
    assert len(answer.outputs[0].token_ids) == 2


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"logprobs": 6, "detokenize": True}, "detokenize"),
        ({"logprobs": 5, "detokenize": False}, "logprobs of at least 6"),
        ({"logprobs": -1, "detokenize": False}, "logprobs of at least 6"),
        ({"prompt_logprobs": 0, "detokenize": False}, "prompt_logprobs of at least 6"),
    ],
)
def test_statistics_that_would_not_fit_are_refused(served: Served, settings: dict[str, Any], wrong: str) -> None:
    params = SamplingParams(max_tokens=1, extra_args={"statistics": "1"}, **settings)
    with pytest.raises(ValueError, match=wrong):
        served.llm.generate([{"prompt_token_ids": prompt(1)}], params, use_tqdm=False)


def test_a_front_knows_whether_the_plugin_is_active(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    config = served.llm.llm_engine.vllm_config
    candor_vllm.require_active(config)
    with monkeypatch.context() as patch:
        patch.setattr(config.parallel_config, "worker_cls", "vllm.v1.worker.cpu_worker.CPUWorker")
        with pytest.raises(NotActive, match="--worker-cls"):
            candor_vllm.require_active(config)
    with monkeypatch.context() as patch:
        patch.setattr(InputProcessor, "process_inputs", InputProcessor.process_inputs.__wrapped__)
        with pytest.raises(NotActive, match="not loaded"):
            candor_vllm.require_active(config)
    with monkeypatch.context() as patch:
        name = config.model_config.architectures[0]
        patch.setitem(ModelRegistry.models, name, ModelRegistry.models["LlamaForCausalLM"])
        with pytest.raises(NotActive, match="vLLM's own"):
            candor_vllm.require_active(config)


def test_vllm_does_not_start_when_masks_would_be_ignored(tmp_path: Path) -> None:
    directory = tiny.save(tiny.build("mixtral"), tmp_path, OWNERS)
    cases = {
        "stock worker": ("auto", {}, "needs --worker-cls candor_vllm.worker.MaskedWorker"),
        "plugin off": (WORKER, {"VLLM_PLUGINS": ""}, "MixtralForCausalLM does not mask"),
    }
    program = (
        "from vllm import LLM; import sys\n"
        "if __name__ == '__main__':\n"
        "    LLM(model=sys.argv[1], worker_cls=sys.argv[2], skip_tokenizer_init=True, dtype='float32',"
        " enforce_eager=True, max_model_len=128, kv_cache_memory_bytes=1 << 27)\n"
        "    print('started')\n"
    )
    script = tmp_path / "start.py"
    script.write_text(program)
    running = {
        name: subprocess.Popen(
            [sys.executable, str(script), str(directory), worker],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, (worker, environment, _) in cases.items()
    }
    for name, (_, _, message) in cases.items():
        output, _ = running[name].communicate(timeout=280)
        assert running[name].returncode != 0, name
        assert message in output, name
        assert "started" not in output, name
