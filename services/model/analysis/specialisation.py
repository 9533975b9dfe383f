"""Specialisation: the share of a domain's tokens, and of a vocabulary entry's, that each expert computes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def domain_specialisation(computed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """N_i / N, (layers, experts): the share of a domain's N tokens for which expert i was chosen.

    `computed`: (tokens, layers, experts) of the domain's tokens. A layer sums to k; if experts were chosen evenly each
    would have k / experts. Raises ValueError without a token.
    Source: OLMoE (Muennighoff et al. 2024), section 5.3.
    """
    if not len(computed):
        raise ValueError("a domain without a token has no specialisation")
    shares: NDArray[np.float64] = computed.mean(axis=0, dtype=np.float64)
    return shares


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Vocabulary entries that were seen often enough, ordered by id.

    `ids` and `counts`: (entries,) int64. `shares`: (entries, layers, experts), N_xi / N_x, the share of entry x's
    tokens for which expert i was chosen. `rare_ids`, `rare_tokens`: how many entries, and tokens of them, were left
    out for being seen too few times.
    """

    ids: NDArray[np.int64]
    counts: NDArray[np.int64]
    shares: NDArray[np.float64]
    rare_ids: int
    rare_tokens: int

    @property
    def specialisation(self) -> NDArray[np.float64]:
        """(entries, layers): the share of the entry's most frequent expert, 1 when one expert takes part in all."""
        most: NDArray[np.float64] = self.shares.max(axis=-1)
        return most


def vocabulary_specialisation(ids: NDArray[np.int64], computed: NDArray[np.bool_], least: int = 1) -> Vocabulary:
    """Shares by vocabulary entry of `ids`, (tokens,): input, next or predicted ids; -1 where there is none.

    Entries seen fewer than `least` times are left out: the most frequent expert's share of n tokens is at least
    k / experts and 1 for n = 1, so that rare entries look specialised by chance.
    Source: OLMoE (Muennighoff et al. 2024), section 5.4.
    """
    known = ids >= 0
    found, inverse, counts = np.unique(ids[known], return_inverse=True, return_counts=True)
    kept = counts >= least
    rare = int((~kept).sum()), int(counts[~kept].sum())
    place = np.cumsum(kept) - 1
    often = kept[inverse]
    totals = np.zeros((int(kept.sum()), *computed.shape[1:]), dtype=np.int64)
    np.add.at(totals, place[inverse[often]], computed[known][often])
    return Vocabulary(found[kept], counts[kept], totals / counts[kept][:, None, None], *rare)
