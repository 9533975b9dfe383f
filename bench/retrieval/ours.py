"""LEANN on real text: what its index takes of the text's bytes, what it finds, and how many passages it embeds again.

Recall is against the exact inner products of the same vectors. The vectors are made once and kept in
CANDOR_HOME/bench/vectors: embedding 100,000 passages takes hours on two cores, and goes on where it was stopped. With
`--passages` a random sample of them is searched; the bytes are those of all the text. The codebook is trained on the
public owners' passages of the datastore that `candor data build` made, as a datastore's own would be.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from bench.result import Figures, finish
from bench.texts import passages, questions, sentences
from services.retrieval.datastore.catalogue import open_datastores
from services.retrieval.encoders import base
from services.retrieval.leann.codebook import Codebook
from services.retrieval.leann.codes import Codes
from services.retrieval.leann.recompute import Aim
from services.retrieval.leann.search import candidates, exact
from services.retrieval.ranking import Ranking
from shared.settings import candor_home, cores

LIMIT = 50
"""Recomputations allowed, and the recall aimed at: the defaults of /v1/search."""
RECALL = 0.95

Vectors = NDArray[np.float32]

_AT_ONCE = 512


def main() -> None:
    """Measure, print, write bench/results/retrieval.json."""
    parser = argparse.ArgumentParser(prog="python -m bench.retrieval", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only the passages that the datastore has vectors of")
    parser.add_argument("--passages", type=int, default=20_000, help="how many to search")
    parser.add_argument("--threads", type=int, default=cores())
    arguments = parser.parse_args()
    home = candor_home()
    encoder = base.load(base.describe(base.DEFAULT, home), threads=arguments.threads)
    (store,) = [each for each in open_datastores(home / "retrieval", encoder.card) if each.id == "main"]
    if store.codebook is None:
        raise SystemExit("There is no codebook: run `candor data build`.")
    if arguments.quick:
        texts = [part.passages.text(row) for part in store.segments for row in range(len(part.passages))]
        vectors = np.concatenate([part.vectors.exact for part in store.segments]).astype(np.float32)
        asked = questions(home, 10)
    else:
        texts = passages(home)
        vectors = _embedded(home / "bench" / "vectors", texts[: arguments.passages], encoder)
        asked = [*questions(home, 30), *sentences(texts[: arguments.passages], 200)]
    figures = measure(store.codebook, texts, vectors, asked, encoder)
    settings = {"limit": LIMIT, "recall": RECALL, "passages": len(vectors), "queries": len(asked)}
    finish("retrieval", figures, {**settings, "raw_bytes": _bytes(texts), "threads": arguments.threads})


def measure(codebook: Codebook, texts: list[str], vectors: Vectors, asked: list[str], encoder: base.Encoder) -> Figures:
    """The fixed keys of LEANN. `vectors` are of the first texts; the bytes count all texts."""
    queries = encoder.encode(asked)
    with TemporaryDirectory() as folder:
        started = time.process_time()
        Codes.write(Path(folder), codebook, vectors)
        coding = time.process_time() - started
        coded = sum(path.stat().st_size for path in Path(folder).iterdir())
        codebook.write(Path(folder))
        book = sum(path.stat().st_size for path in Path(folder).iterdir()) - coded
        codes = Codes(Path(folder), codebook)
    figures: Figures = {
        "leann_index_share": (coded / len(vectors) * len(texts) + book) / _bytes(texts),
        "leann_bytes_per_passage": coded / len(vectors),
        "leann_codebook_bytes": book,
        "leann_coding_ms_per_passage": 1000 * coding / len(vectors),
    }
    for k in (3, 10):
        found = [_search(codes, vectors, query, k) for query in queries]
        hits = [len(_best(vectors, query, k) & set(rows[:k])) / k for query, rows in zip(queries, found, strict=True)]
        counts = [len(rows) for rows in found]
        figures[f"leann_recall_at_{k}"] = statistics.mean(hits)
        figures["leann_recomputations" if k == 10 else f"leann_recomputations_at_{k}"] = statistics.mean(counts)
        figures[f"leann_recomputations_p95_at_{k}"] = statistics.quantiles(counts, n=20)[-1]
    scans, waits = [], []
    for query in queries[:: max(1, len(queries) // 40)]:
        began = time.perf_counter()
        rankings, deviations = candidates([codes], query[None], LIMIT)
        scans.append(time.perf_counter() - began)
        exact(
            rankings[0],
            deviations[0],
            query,
            Aim(10, RECALL),
            lambda some: encoder.encode_alone([texts[row] for row in some.rows.tolist()]),
        )
        waits.append(time.perf_counter() - began)
    figures["leann_scan_ms"] = 1000 * statistics.median(scans)
    figures["leann_p50_ms"] = 1000 * statistics.median(waits)
    figures["leann_p95_ms"] = 1000 * statistics.quantiles(waits, n=20)[-1]
    return figures


def _search(codes: Codes, vectors: Vectors, query: Vectors, k: int) -> list[int]:
    """Rows scored exactly, best first; the vectors stand for the texts that the service would embed again."""

    def embed(some: Ranking) -> Vectors:
        return vectors[some.rows]

    found, deviations = candidates([codes], query[None], LIMIT)
    rows: list[int] = exact(found[0], deviations[0], query, Aim(k, RECALL), embed).rows.tolist()
    return rows


def _best(vectors: Vectors, query: Vectors, k: int) -> set[int]:
    return set(np.argpartition(-(vectors @ query), k)[:k].tolist())


def _embedded(folder: Path, texts: list[str], encoder: base.Encoder) -> Vectors:
    """Vectors of the texts, from files where they were made before."""
    place = folder / encoder.card.revision
    place.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, len(texts), _AT_ONCE):
        path = place / f"{start:07}.npy"
        if not path.exists():
            draft = path.with_suffix(".part.npy")
            np.save(draft, encoder.encode(texts[start : start + _AT_ONCE]))
            draft.rename(path)
            print(f"{start + _AT_ONCE} of {len(texts)} passages embedded", flush=True)
        parts.append(np.load(path)[: len(texts) - start])
    return np.concatenate(parts)


def _bytes(texts: list[str]) -> int:
    return sum(len(text.encode()) for text in texts)


if __name__ == "__main__":
    main()
