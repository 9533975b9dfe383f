"""How an encoder's vectors are made of its model's hidden states, read from what was published with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from services.retrieval.encoders.published import PUBLISHED

Pooling = Literal["mean", "cls", "last"]

_MODES: dict[str, Pooling] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
_KNOWN_MODULES = {"Transformer", "Pooling", "Normalize"}
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""The names that sentence-transformers looks for, in its order."""


class Unsupported(ValueError):
    """The folder wants something that no encoder here does. The message says what."""


@dataclass(frozen=True)
class Recipe:
    """`query` and `document` stand before every text of the kind; with `prompts_pooled` their tokens have a part in
    the vector. `bidirectional`: every token of a decoder attends to every other."""

    pooling: Pooling = "mean"
    query: str = ""
    document: str = ""
    prompts_pooled: bool = True
    bidirectional: bool = False


PLAIN = Recipe()
"""The mean over all tokens, of queries as of documents."""


def read(name: str, folder: Path) -> Recipe:
    """The recipe of a model's folder: for an encoder of the table that has its own, that one; otherwise as
    sentence-transformers wrote it down. Raises Unsupported, FileNotFoundError."""
    known = PUBLISHED.get(name)
    if known is not None and known.instructed:
        return Recipe("mean", known.query, known.document, prompts_pooled=False, bidirectional=True)
    for module in _json(folder / "modules.json", []):
        kind = str(module["type"]).rpartition(".")[2]
        if kind not in _KNOWN_MODULES:
            raise Unsupported(f"{folder}: its module {kind!r} is not supported; those that are: {_KNOWN_MODULES}.")
    pooling = _json(folder / "1_Pooling" / "config.json", None)
    if pooling is None:
        raise FileNotFoundError(f"The encoder {name!r} lacks {folder / '1_Pooling' / 'config.json'}.")
    prompts = _json(folder / "config_sentence_transformers.json", {}).get("prompts") or {}
    document = next((prompts[one] for one in _DOCUMENT_PROMPTS if prompts.get(one)), "")
    return Recipe(_mode(folder, pooling), prompts.get("query") or "", document, pooling.get("include_prompt", True))


def _mode(folder: Path, pooling: dict[str, Any]) -> Pooling:
    """From a newer file, which names the mode, or an older one, which has a switch for each."""
    named = pooling.get("pooling_mode")
    switched = [
        name.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
        for name, on in pooling.items()
        if name.startswith("pooling_mode_") and on
    ]
    modes = [named] if isinstance(named, str) else switched
    if len(modes) != 1 or modes[0] not in _MODES:
        raise Unsupported(f"{folder}: the pooling {'+'.join(map(str, modes))!r} is not supported: {', '.join(_MODES)}.")
    return _MODES[modes[0]]


def _json(path: Path, otherwise: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else otherwise
