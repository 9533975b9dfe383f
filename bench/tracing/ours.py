"""All that the benchmark knows of Candor's tracing: building a corpus, and asking it in a process of its own.

`python -m bench.tracing.ours build ROOT SEGMENTS PART...` or `... serve`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from bench.tracing.corpus import Part, limit
from bench.tracing.protocol import EOS, Worker, each_timed, serve, timed, together
from bench.tracing.rules import Ids, Numbers, Span, attribute, rules
from services.tracing.continuation import Continuation, backed_off, continuation
from services.tracing.index.build import How, build_corpus
from services.tracing.index.infini_gram import open_shard, shards
from services.tracing.index.opening import open_corpora
from services.tracing.index.segment import Segment
from services.tracing.search.arrays import stretches
from services.tracing.search.kernels import END, longest, ranges
from services.tracing.settings import tokenizer_in
from services.tracing.tokenizer import Tokenizer
from services.tracing.trace.documents import Occurrence, sample
from services.tracing.trace.lookup import look_up_tokens
from services.tracing.trace.procedure import Options, trace
from services.tracing.trace.query import read
from services.tracing.trace.spans import find_spans
from shared.owners import Owner
from shared.settings import candor_home

OWNER = Owner(id="bench", name="Texts of the benchmark", licence="various", contact="none@example.org", public=True)


def tokenizer() -> Tokenizer:
    """The embedded language model's."""
    return Tokenizer(tokenizer_in(candor_home()))


def process() -> Worker:
    """A process that answers, with nothing open yet."""
    return Worker([sys.executable, "-m", "bench.tracing.ours", "serve"])


def segments_of(root: Path) -> list[tuple[int, int]]:
    """Documents and tokens, separators not among them, of each segment of a corpus, in the order of its documents."""
    return [(segment.documents, segment.tokens) for segment in _opened(root, tokenizer())]


class Known:
    """A tokenizer that has the tokens of the texts already, in their order: building is measured without tokenising."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._real = tokenizer()
        self._documents = (ids for part in parts for ids in part.documents())

    def encode_many(self, texts: Sequence[str]) -> list[Ids]:
        """The tokens of the next texts."""
        return [next(self._documents) for _ in texts]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def build(root: Path, segments: int, parts: Sequence[Part]) -> None:
    """Build the corpus `bench`, of so many segments, in a folder of corpora."""
    known = cast(Tokenizer, Known(parts))
    files = [part.texts for part in parts]
    # a line counts as its bytes, and a document in `limit` as its tokens and one
    lines = [len(line) - 1 for file in files for line in file.open("rb")]
    how = How(block_bytes=limit(lines, segments) + 1, most_tokens=0)
    build_corpus(root / OWNER.id, OWNER, files, known, _tell, how=how)


def _opened(root: Path, known: Tokenizer) -> list[Segment]:
    corpora, warnings = open_corpora(root, known)
    if warnings:
        raise ValueError("; ".join(warnings))
    return [segment for corpus in corpora for segment in corpus.segments]


class Asked:
    """The operations that `protocol.serve` offers."""

    def __init__(self) -> None:
        self._tokenizer = tokenizer()
        self._segments: list[Segment] = []
        self._rules = rules([self._tokenizer.decode([identity]) for identity in range(self._tokenizer.size)])

    def open(self, folder: str) -> dict[str, int]:
        """Answer from this folder of corpora from now on."""
        self._segments = _opened(Path(folder), self._tokenizer)
        return {"segments": len(self._segments), "tokens": sum(each.tokens for each in self._segments)}

    def open_peers(self, folder: str) -> None:
        """Answer from the peer's own files from now on."""
        path = Path(folder)
        owner, licence = OWNER.id, OWNER.licence
        self._segments = [open_shard(path, each, owner, licence, self._tokenizer) for each in shards(path)]

    def spans(self, ids: list[int], max_count: int) -> dict[str, Any]:
        """The spans by the peer's rules."""
        found, times = timed(self._spans, np.array(ids, dtype=self._tokenizer.dtype), max_count)
        return {"spans": found, **times}

    def own_spans(self, text: str, max_count: int) -> dict[str, Any]:
        """How many spans there are by Candor's own rules, from the text on."""
        found, times = timed(self._own_spans, text, max_count)
        return {"spans": len(found), **times}

    def trace(self, text: str, prompt: str) -> dict[str, Any]:
        """All of OLMoTrace with production settings."""
        traced, times = timed(self._trace, (text, prompt))
        documents = sum(len(span.documents) for span in traced.spans)
        return {"spans": len(traced.spans), "documents": documents, "steps": traced.milliseconds, **times}

    def count(self, queries: list[list[int]], repeats: int) -> dict[str, Any]:
        """How often each of some token sequences occurs."""
        counts, walls = each_timed(self._count, self._arrays(queries), repeats)
        return {"counts": counts, "walls": walls}

    def find(self, queries: list[list[int]], repeats: int) -> dict[str, Any]:
        """The rank ranges of token sequences; counted, since ranks differ between systems."""
        found, walls = each_timed(self._find, self._arrays(queries), repeats)
        return {"counts": [sum(hit.times for hit in hits) for hits in found], "walls": walls}

    def places(self, queries: list[list[int]]) -> list[list[tuple[int, int, int]]]:
        """Where each token sequence stands: segment, document and token in it, in this order."""
        found = []
        for ids in self._arrays(queries):
            hits = look_up_tokens(ids, self._segments)
            everywhere = sample(hits, self._segments, sum(hit.times for hit in hits), "")
            found.append(sorted(self._place(one) for one in everywhere))
        return found

    def next_tokens(self, contexts: list[list[int]]) -> list[dict[str, Any]]:
        """What follows each context: counts by token, of the context itself and of its longest suffix that occurs."""
        answers = []
        for ids in self._arrays(contexts):
            exact, backed = continuation(ids, self._segments), backed_off(ids, self._segments)
            answers.append({"exact": _counts(exact), "backed": _counts(backed), "suffix": backed.context})
        return answers

    def callers(self, what: str, arguments: list[Any], threads: int, calls: int) -> dict[str, Any]:
        """`spans` of token sequences or `trace` of texts with prompts, asked by several threads at once."""
        if what == "trace":
            return together(self._trace, [tuple(argument) for argument in arguments], threads, calls)
        return together(self._ten, self._arrays(arguments), threads, calls)

    def _place(self, found: Occurrence) -> tuple[int, int, int]:
        first, _ = self._segments[found.segment].bounds(found.document)
        return found.segment, found.document, found.position - first

    def _arrays(self, queries: list[list[int]]) -> list[Ids]:
        return [np.array(query, dtype=self._tokenizer.dtype) for query in queries]

    def _spans(self, ids: Ids, max_count: int) -> list[Span]:
        def reach(starts: Numbers, lengths: Numbers) -> Numbers:
            patterns = stretches(ids, starts, lengths)
            found = np.zeros(starts.size, dtype=np.int64)
            for segment in self._segments:
                np.maximum(found, longest(segment.index, patterns), out=found)
            return found

        def occurrences(starts: Numbers, lengths: Numbers) -> Numbers:
            patterns = stretches(ids, starts, lengths)
            found = np.zeros(starts.size, dtype=np.int64)
            for segment in self._segments:
                found += ranges(segment.index, patterns)[:, 2]
            return found

        return attribute(ids, self._rules, reach, occurrences, min_length=1, max_count=max_count)

    def _ten(self, ids: Ids) -> list[Span]:
        return self._spans(ids, 10)

    def _own_spans(self, text: str, max_count: int) -> Sequence[object]:
        query = read(text, self._tokenizer)
        return find_spans(query, self._segments, self._tokenizer, min_length=1, max_count=max_count)

    def _trace(self, asked: tuple[str, str]) -> Any:
        text, prompt = asked
        return trace(text, prompt, self._segments, self._tokenizer, Options())

    def _count(self, ids: Ids) -> int:
        return sum(hit.times for hit in look_up_tokens(ids, self._segments))

    def _find(self, ids: Ids) -> Any:
        return look_up_tokens(ids, self._segments)


def _counts(found: Continuation) -> list[tuple[int, int]]:
    return sorted((EOS if token == END else token, count) for token, count in found.counts.items())


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def main() -> None:
    """Build, or answer."""
    what, *rest = sys.argv[1:]
    if what == "build":
        root, segments, *parts = rest
        build(Path(root), int(segments), [Part(Path(part)) for part in parts])
        return
    asked = Asked()
    names: list[str] = [
        "open",
        "open_peers",
        "next_tokens",
        "spans",
        "own_spans",
        "trace",
        "count",
        "find",
        "places",
        "callers",
    ]
    operations: dict[str, Callable[..., object]] = {name: getattr(asked, name) for name in names}
    serve(operations)


if __name__ == "__main__":
    main()
