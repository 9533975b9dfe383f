"""Traces of texts stitched from the pulled corpora, as the service answers them: how long the exact trace and the
approximate matches take, how large the answers are, and what the index of words takes.

`python -m bench.tracing.pulled`, over the corpora of CANDOR_HOME.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import numpy as np

from services.tracing.approximate.parts import FOLDER
from services.tracing.catalogue import Catalogue
from services.tracing.service import Tracer
from services.tracing.settings import TracingSettings
from services.tracing.tokenizer import Tokenizer
from shared.contracts.tracing import TraceRequest
from shared.settings import candor_home

TEXTS, WORDS = 60, 380


def main() -> None:
    """Measure and print."""
    settings = TracingSettings()
    tokenizer = Tokenizer(settings.tokenizer_file())
    catalogue = Catalogue(settings.corpora_folder(), tokenizer, [])
    corpora = catalogue.now().corpora.values()
    segments = [segment for corpus in corpora for segment in corpus.segments]
    words = sum(path.stat().st_size for segment in segments for path in (segment.folder / FOLDER).rglob("*.bin"))
    tokens = sum(segment.tokens for segment in segments)
    print(f"{tokens:,} tokens in {candor_home()}; index of words: {words / tokens:.2f} bytes a token")
    tracer = Tracer(catalogue, tokenizer, settings.max_characters)
    dice = random.Random(1)
    documents = [segment.text(number) for segment in segments for number in range(segment.held)]
    texts = [_stitched(documents, dice) for _ in range(TEXTS)]
    owners = [corpus.owner for corpus in corpora]
    for approximate in (False, True):
        requests = [TraceRequest(text=text, owners=owners, approximate=approximate) for text in texts]
        tracer.trace(requests[0])
        sizes, spent, length = [], [], []
        for request in requests:
            began = time.process_time()
            answer = tracer.trace(request)
            spent.append(1000 * (time.process_time() - began))
            sizes.append(len(answer.model_dump_json().encode()))
            length.append(answer.tokens)
        what = "with approximate matches" if approximate else "exact"
        print(
            f"{what}: {np.median(spent):.1f} CPU ms at the median of {TEXTS} texts of {np.mean(length):.0f} tokens; "
            f"answers of {np.median(sizes) / 1000:.0f} KB, at most {max(sizes) / 1000:.0f}"
        )


def _stitched(documents: Sequence[str], dice: random.Random) -> str:
    """Stretches of 5 to 60 words of documents, one after the other."""
    words: list[str] = []
    while len(words) < WORDS:
        document = dice.choice(documents).split()
        start = dice.randrange(max(1, len(document)))
        words += document[start : start + dice.randint(5, 60)]
    return " ".join(words[:WORDS])


if __name__ == "__main__":
    main()
