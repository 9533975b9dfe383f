"""A datastore of a public benchmark's corpus, apart from the owners' data: what `candor eval run retrieval` calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from services.retrieval.build import second
from services.retrieval.encoders import base
from services.retrieval.settings import RetrievalSettings
from shared.owners import Owner, Source
from shared.settings import cores


def build_benchmark(
    home: Path, folder: Path, name: str, documents: Iterable[Mapping[str, str]], progress: Callable[[str], None]
) -> Path:
    """Build `folder`/retrieval/`name` of documents (id, title, text) with the encoders of the settings.

    The corpus is of one public owner called as the datastore, and nothing is left out of it as a duplicate. What is
    built of the same documents stays as it is, and a killed build is gone on with. Returns the folder of datastores.
    Raises FileNotFoundError without the encoder's model, BuildRunning while another process builds, NothingToBuild,
    BadExact, BadLayout.
    """
    from services.retrieval.datastore.build import build  # noqa: PLC0415 - faiss: the command line must start fast

    settings = RetrievalSettings()
    card = base.describe(settings.encoder, home)
    texts = folder / "texts" / name / "corpus.jsonl"
    texts.parent.mkdir(parents=True, exist_ok=True)
    unfinished = texts.with_name(".corpus.jsonl")
    with unfinished.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({**document}, ensure_ascii=False) + "\n" for document in documents)
    unfinished.replace(texts)
    source = Source(name="corpus", origin="a benchmark", licence="of the benchmark", clean=False)
    owner = Owner(id=name, name=name, licence=source.licence, contact="of the benchmark", public=True, sources=[source])
    threads = settings.build_threads or cores()
    exact = second(home, folder / "retrieval" / name, settings, None, threads)
    build(folder, [owner], card, partial(base.load, card, threads=threads), progress, datastore=name, exact=exact)
    return folder / "retrieval"
