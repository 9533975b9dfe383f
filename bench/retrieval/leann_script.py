"""Runs in the environment of the package `leann`, and so imports nothing of Candor's.

Usage: python leann_script.py FOLDER [COMPLEXITY QUERIES]. FOLDER has texts.json, vectors.npy, queries.json and the
model in `minilm`; without more the index is built there. Writes a line of JSON for each query; the embedding server
writes to stderr how many texts it embeds.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import psutil
from leann import LeannBuilder, LeannSearcher


def main() -> None:
    """Build or search."""
    folder, *rest = sys.argv[1:]
    if rest:
        search(Path(folder), int(rest[0]), int(rest[1]))
    else:
        build(Path(folder))


def search(folder: Path, complexity: int, count: int) -> None:
    """The first queries, one after another."""
    index = folder / "index" / "bench.leann"
    queries = json.loads((folder / "queries.json").read_text())[:count]
    with LeannSearcher(str(index), use_daemon=False) as searcher:
        searcher.search("the first query starts the server", top_k=3, complexity=4)
        for query in queries:
            print("QUERY", file=sys.stderr, flush=True)
            wall, cpu = time.perf_counter(), processor_time()
            found = searcher.search(query, top_k=10, complexity=complexity)
            took = {"wall": time.perf_counter() - wall, "cpu": processor_time() - cpu}
            print(json.dumps({"rows": [int(result.id) for result in found], **took}), flush=True)


def build(folder: Path) -> None:
    """The index of the vectors that are there."""
    texts, vectors = json.loads((folder / "texts.json").read_text()), np.load(folder / "vectors.npy")
    wall, cpu = time.perf_counter(), time.process_time()
    builder = LeannBuilder(
        "hnsw", embedding_model=str(folder / "minilm"), dimensions=vectors.shape[1], distance_metric="mips"
    )
    for text in texts:
        builder.add_text(text)
    builder.build_index_from_arrays(
        str(folder / "index" / "bench.leann"), list(range(len(texts))), vectors.astype(np.float32)
    )
    took = {"build_s": time.perf_counter() - wall, "build_cpu_s": time.process_time() - cpu}
    (folder / "build.json").write_text(json.dumps(took))


def processor_time() -> float:
    """Seconds of this process and all that it started, which embed for it."""
    here = psutil.Process()
    times = [process.cpu_times() for process in (here, *here.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


if __name__ == "__main__":
    main()
