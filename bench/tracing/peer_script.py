"""Runs in the environment of the package `infini-gram`: `python -m bench.tracing.peer_script`.

Its times are of the package's own calls; the conversion of ids to lists and back is the asker's.
"""

from __future__ import annotations

import math
import random
from typing import Any

from infini_gram.engine import InfiniGramEngine

from bench.tracing.protocol import EOS, each_timed, serve, timed, together

EXACTLY = 1 << 40
"""Occurrences up to which what follows is counted and not estimated."""


class Asked:
    """The operations that `protocol.serve` offers."""

    def __init__(self) -> None:
        self._engine: Any = None
        self._delimiters: list[int] = []

    def open(self, folder: str, words: str, delimiters: list[int], depth: int, block: int) -> dict[str, int]:
        """Answer from this index from now on.

        `depth` of prefetching: 0 is upstream's for attribution; with another, the package's own defaults hold. At most
        `block` positions of a text are looked at at once, each in a thread, with a thread a shard for each.
        """
        prefetch = {} if depth else {"ds_prefetch_depth": 0, "sa_prefetch_depth": 0, "od_prefetch_depth": 0}
        self._delimiters = delimiters
        self._engine = InfiniGramEngine(
            folder,
            eos_token_id=EOS,
            bow_ids_path=words,
            attribution_block_size=block,
            precompute_unigram_logprobs=True,
            **prefetch,
        )
        return {"documents": self._engine.get_total_doc_cnt()}

    def spans(self, ids: list[int], max_count: int) -> dict[str, Any]:
        """The spans of `attribute`."""
        found, times = timed(self._attribute, ids, max_count)
        return {"spans": [(span["l"], span["r"], span["count"]) for span in found], **times}

    def trace(self, ids: list[int], most: int, documents: int, context: int) -> dict[str, Any]:
        """Spans, the least likely twentieth of them, and documents for each: all of OLMoTrace but the scores."""
        shown, times = timed(self._trace, ids, most, documents, context)
        return {"spans": len(shown), "documents": sum(map(len, shown)), **times}

    def count(self, queries: list[list[int]], repeats: int) -> dict[str, Any]:
        """How often each of some token sequences occurs."""
        found, walls = each_timed(lambda ids: self._engine.count(input_ids=ids), queries, repeats)
        return {"counts": [each["count"] for each in found], "walls": walls}

    def find(self, queries: list[list[int]], repeats: int) -> dict[str, Any]:
        """The rank ranges of token sequences, [low, high) in each shard."""
        found, walls = each_timed(lambda ids: self._engine.find(input_ids=ids), queries, repeats)
        ranks = [each["segment_by_shard"] for each in found]
        return {"counts": [each["cnt"] for each in found], "ranks": ranks, "walls": walls}

    def callers(self, what: str, arguments: list[Any], threads: int, calls: int) -> dict[str, Any]:
        """`spans` of token sequences, asked by several threads at once."""
        assert what == "spans"
        return together(lambda ids: self._attribute(ids, 10), arguments, threads, calls)

    def next_tokens(self, contexts: list[list[int]]) -> list[dict[str, Any]]:
        """What follows each context: counts by token, of the context itself and of its longest suffix that occurs."""
        answers = []
        for ids in contexts:
            exact = self._engine.ntd(prompt_ids=ids, max_support=EXACTLY)
            backed = self._engine.infgram_ntd(prompt_ids=ids, max_support=EXACTLY)
            answers.append({"exact": _counts(exact), "backed": _counts(backed), "suffix": backed["suffix_len"]})
        return answers

    def probabilities(self, contexts: list[list[int]], following: list[int]) -> list[tuple[float, float, int]]:
        """Of a token after each context: its probability (-1 where there is none) as given and backed off, and the
        length of the suffix that was backed off to."""
        answers = []
        for ids, token in zip(contexts, following, strict=True):
            exact = self._engine.prob(prompt_ids=ids, cont_id=token)
            backed = self._engine.infgram_prob(prompt_ids=ids, cont_id=token)
            answers.append((exact["prob"], backed["prob"], backed["suffix_len"]))
        return answers

    def _attribute(self, ids: list[int], max_count: int) -> Any:
        return self._engine.attribute(
            input_ids=ids, delim_ids=self._delimiters, min_len=1, max_cnt=max_count, enforce_bow=True
        )["spans"]

    def _trace(self, ids: list[int], most: int, documents: int, context: int) -> list[Any]:
        spans = sorted(self._attribute(ids, most), key=lambda span: span["unigram_logprob_sum"])
        draw = random.Random(0)
        shown = []
        for span in spans[: math.ceil(0.05 * len(ids))]:
            drawn = draw.sample(span["docs"], min(documents, len(span["docs"])))
            requests = [(doc["s"], doc["ptr"], span["length"], context) for doc in drawn]
            shown.append(self._engine.get_docs_by_ptrs_2(requests=requests))
        return shown


def _counts(answer: dict[str, Any]) -> list[tuple[int, int]]:
    return sorted((token, each["cont_cnt"]) for token, each in answer["result_by_token_id"].items())


if __name__ == "__main__":
    asked = Asked()
    names = ("open", "spans", "trace", "count", "find", "callers", "next_tokens", "probabilities")
    serve({name: getattr(asked, name) for name in names})
