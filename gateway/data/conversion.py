"""From GGUF to the transformers form in bf16: `python -m gateway.data.conversion FILE.gguf FOLDER`.

A program of its own: torch's hundreds of megabytes leave with it, and whoever pulls need not load them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, GgufConfig

_END_OF_TURN = "<|im_end|>"
_CONTEXT = 8192


def convert(gguf: Path, folder: Path) -> None:
    """Write model, tokenizer, chat template and generation settings into the folder.

    Raises ValueError if the tokenizer comes out without the turns that a chat needs.
    """
    eos = _save_tokenizer(gguf, folder)
    _save_model(gguf, folder, eos)


def _save_tokenizer(gguf: Path, folder: Path) -> int:
    """Save the tokenizer and return the id that ends a turn."""
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, local_files_only=True)
    if tokenizer.eos_token != _END_OF_TURN or not tokenizer.chat_template:
        raise ValueError(f"{gguf.name} has no chat template, or its turns do not end with {_END_OF_TURN}")
    # The GGUF names its pre-tokenizer "smollm": digits one by one, then GPT-2's bytes. The conversion keeps only the
    # second, which splits white space before a digit in another way than the model was trained on.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.model_max_length = _CONTEXT
    tokenizer.save_pretrained(folder)
    return int(tokenizer.eos_token_id)


def _save_model(gguf: Path, folder: Path, eos: int) -> None:
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
        local_files_only=True,
    )
    model.generation_config = GenerationConfig.from_dict(
        {"bos_token_id": model.config.bos_token_id, "eos_token_id": eos, "pad_token_id": eos}
    )
    model.save_pretrained(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    convert(arguments.gguf, arguments.folder)
