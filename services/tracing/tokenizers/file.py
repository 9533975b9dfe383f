"""Reading a tokenizer.json: which kind it is, and what must be left out of it so that nothing of a text is lost."""

from __future__ import annotations

import json
from typing import Any

from tokenizers import Tokenizer as Encoder

from services.tracing.tokenizers import byte_level, sentencepiece
from services.tracing.tokenizers.sentencepiece import SPACE
from services.tracing.tokenizers.vocabulary import BadTokenizer, LossyTokenizer, Vocabulary

Step = dict[str, Any]
"""A normalizer or a pre-tokenizer as the file has it."""
CUTTING = ("ByteLevel", "Digits", "Metaspace", "Punctuation", "Split", "UnicodeScripts")
"""Pre-tokenizers that only cut, unless their `behavior` is to remove what they cut at."""
KINDS = "Candor traces with byte-level BPE (Llama 3, OLMo 2, SmolLM2), sentencepiece's BPE (Llama 2, Mistral) and bytes"


def read_vocabulary(content: bytes) -> Vocabulary:
    """The vocabulary of a tokenizer.json. Raises BadTokenizer, LossyTokenizer; their messages do not name the file.

    The space that some put before a text is switched off, so that the text does not begin with one. Names of special
    tokens are plain text.
    """
    fields = _parsed(content)
    model = fields["model"]
    normalizers = _normalizers(_steps(fields.get("normalizer"), "normalizers"))
    cuts = _pre_tokenizers(_steps(fields.get("pre_tokenizer"), "pretokenizers"))
    bytewise = any(step["type"] == "ByteLevel" for step in cuts)
    if bytewise == (bool(normalizers) or any(step["type"] == "Metaspace" for step in cuts)):
        raise BadTokenizer(f"it writes neither bytes as characters nor spaces as {SPACE}. {KINDS}: take one of these")
    fields |= {
        "normalizer": {"type": "Sequence", "normalizers": normalizers} if normalizers else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": cuts} if cuts else None,
        "model": {**model, "dropout": None},
        "truncation": None,
        "padding": None,
    }
    try:
        encoder = Encoder.from_str(json.dumps(fields))
    except Exception as error:  # the library raises no other class
        raise BadTokenizer(f"the tokenizers library cannot read it ({error}): get the file again") from error
    encoder.encode_special_tokens = True
    if bytewise:
        return byte_level.vocabulary(encoder)
    return sentencepiece.vocabulary(encoder, byte_fallback=bool(model.get("byte_fallback")))


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(content)
        model = fields["model"]
        kind = model.get("type", "BPE" if "merges" in model else "unknown")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadTokenizer("it is no tokenizer.json of the tokenizers library: get the file again") from error
    if kind != "BPE":
        raise BadTokenizer(f"its model is {kind}. {KINDS}: take one of these")
    if model.get("end_of_word_suffix") or model.get("continuing_subword_prefix"):
        raise LossyTokenizer(
            f"it marks parts of words with letters, which a text can have too. {KINDS}: take one of these"
        )
    whole: dict[str, Any] = fields
    return whole


def _steps(step: Step | None, inner: str) -> list[Step]:
    """A sequence's steps, also of sequences in it; none for None."""
    if step is None:
        return []
    if step["type"] == "Sequence":
        return [one for part in step[inner] for one in _steps(part, inner)]
    return [step]


def _normalizers(steps: list[Step]) -> list[Step]:
    """Those that stay: spaces become `▁`. Raises LossyTokenizer for any that changes the text for good."""
    kept = []
    for step in steps:
        if step["type"] == "Replace" and step["pattern"] == {"String": " "} and step["content"] == SPACE:
            kept.append(step)
        elif step["type"] != "Prepend":
            raise LossyTokenizer(
                f"its normalizer {step['type']} changes a text before it is cut, so that no match could be called "
                'verbatim. Take a tokenizer without it, or take it out of "normalizer" in a copy of this file: a text '
                "that it would not change keeps its tokens"
            )
    return kept


def _pre_tokenizers(steps: list[Step]) -> list[Step]:
    """All, without the space that some put first. Raises LossyTokenizer for one that leaves something out."""
    kept = []
    for step in steps:
        if step["type"] not in CUTTING or step.get("behavior") == "Removed":
            raise LossyTokenizer(
                f"its pre-tokenizer {step['type']} leaves out what it cuts at, so that no match could be called "
                f"verbatim. {KINDS}: take one of these"
            )
        if step["type"] == "Metaspace":
            if step["replacement"] != SPACE:
                raise BadTokenizer(
                    f"it writes spaces as {step['replacement']!r}, not as {SPACE}. {KINDS}: take one of these"
                )
            kept.append(
                {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "never", "split": step.get("split", True)}
            )
        else:
            kept.append({**step, "add_prefix_space": False} if step["type"] == "ByteLevel" else step)
    return kept
