"""MIMIR's published figures and n-gram masks against this project's statistics and overlap filter (golden checks).

`--results`: the folder of its result files (AUC, its bootstrap's deviation, TPR); `--ngrams`: that of its masks, which
say of every n-gram of a text whether the Pile's Bloom filter held it. The texts themselves are only read.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import norm

from bench.result import Figures, finish
from services.evaluation.metrics.overlap import Bloom, ngrams
from services.evaluation.statistics.separation import auc, tpr, two_groups

ITEMS = 1000
"""Members and as many non-members of each published figure but WikiMIA's."""

ATTACKS = {
    "likelihood_threshold_results.json": "loss",
    "ref_model_gpt2_lira_ratio_threshold_results.json": "reference",
    "min_prob_k_results.json": "min_k",
    "zlib_entropy_threshold_results.json": "zlib",
}

DOMAINS = ("wikipedia_(en)", "github", "arxiv", "dm_mathematics")


def main() -> None:
    """Check the masks, then the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.mimir", description=__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--ngrams", type=Path, required=True)
    given = parser.parse_args()
    figures: Figures = {}
    for path in sorted(given.ngrams.glob("*.jsonl.gz")):
        figures |= {f"{path.name.split('.')[0]}_{name}": value for name, value in masks(path).items()}
    figures |= deviations(given.results)
    headline(given.results)
    finish("mimir", figures, {"items": ITEMS})


def masks(path: Path) -> Figures:
    """Whether our words and our filter give the published masks."""
    found = re.search(r"ngram(\d+)", path.name)
    n = int(found[1]) if found else 13
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [(one["original"], one["ngram_inclusion"]) for one in map(json.loads, lines)]
    own = [(ngrams(text, n), mask) for text, mask in rows]
    same = [(grams, mask) for grams, mask in own if len(grams) == len(mask)]
    held: dict[str, set[bool]] = {}
    for grams, mask in same:
        for gram, inside in zip(grams, mask, strict=True):
            held.setdefault(gram, set()).add(bool(inside))
    inside = [gram for gram, flags in held.items() if True in flags]
    bloom = Bloom(len(inside))
    bloom.add(inside)
    shares = [(float(bloom.holds(grams).mean()), float(np.mean(mask))) for grams, mask in same if mask]
    repeated = [gram for gram, times in _times(same).items() if times > 1]
    return {
        "documents": len(rows),
        "cut_into_as_many": len(same),
        "repeated_ngrams": len(repeated),
        "repeated_with_one_flag": sum(len(held[gram]) == 1 for gram in repeated),
        "mean_overlap_published": float(np.mean([theirs for _, theirs in shares])),
        "mean_overlap_ours": float(np.mean([ours for ours, _ in shares])),
        "largest_difference": max(abs(ours - theirs) for ours, theirs in shares),
        "below_0.2_published": sum(theirs < 0.2 for _, theirs in shares),
        "below_0.2_ours": sum(ours < 0.2 for ours, _ in shares),
    }


def deviations(folder: Path) -> Figures:
    """The bootstrap's deviation of each published AUC, the closed form's (Hanley & McNeil 1982), and ours."""
    published = json.loads((folder / "mia_unified_mia_v5_results.json").read_text())
    found = [one for _, _, _, one in _figures(published) if "std" in one]
    closed = np.array([_hanley_mcneil(one["roc_auc"], ITEMS) for one in found])
    theirs = np.array([one["std"] for one in found])
    # the deviation depends on the AUC alone, but for the shape of the scores: ours of one in ten of them
    ours = np.array([_bootstrapped(one["roc_auc"], seed) for seed, one in enumerate(found[::10])])
    rates = [rate for _, _, _, one in _figures(published) for rate in one["tpr_at_low_fpr"].values()]
    return {
        "figures_with_deviation": len(found),
        "published_over_closed_form_mean": float((theirs / closed).mean()),
        "published_over_closed_form_least": float((theirs / closed).min()),
        "published_over_closed_form_most": float((theirs / closed).max()),
        "ours_over_closed_form_mean": float((ours / closed[::10]).mean()),
        "ours_over_closed_form_least": float((ours / closed[::10]).min()),
        "ours_over_closed_form_most": float((ours / closed[::10]).max()),
        "rates": len(rates),
        "rates_of_1000_members": sum(abs(rate * ITEMS - round(rate * ITEMS)) < 1e-9 for rate in rates),
        "tpr_of_guessing_at_1_percent": _guessing(0.01),
    }


def headline(folder: Path) -> None:
    """Pythia-12B's published AUC on Pile domains, as they are and with non-members that share little."""
    table = Table("domain", "filter", *ATTACKS.values(), title="EleutherAI/pythia-12b-deduped, AUC")
    for name in ("mia_unified_mia_v5_results", "mia_unified_mia_v5_hyp_ngram_overlap_results"):
        rows: dict[str, dict[str, float]] = {}
        for domain, target, attack, one in _figures(json.loads((folder / f"{name}.json").read_text())):
            if "pythia-12b-deduped" in target and domain.startswith(DOMAINS):
                rows.setdefault(domain, {})[attack] = one["roc_auc"]
        for domain, known in rows.items():
            title, _, kept = domain.removesuffix("_truncated").partition("_ngram_")
            cells = [f"{known[attack]:.3f}" if attack in known else "" for attack in ATTACKS.values()]
            table.add_row(title, kept.replace("_", "-grams "), *cells)
    Console().print(table)


def _figures(published: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    """Domain, model, attack, and what is told of it."""
    for domain, models in published.items():
        for model in models:
            for file, attack in ATTACKS.items():
                if file in model:
                    yield domain, model["target"], attack, model[file]


def _times(rows: list[tuple[list[str], list[bool]]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for grams, _ in rows:
        for gram in grams:
            counts[gram] = counts.get(gram, 0) + 1
    return counts


def _hanley_mcneil(area: float, count: int) -> float:
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    return math.sqrt((area * (1 - area) + (count - 1) * (first + second - 2 * area**2)) / count**2)


def _bootstrapped(area: float, seed: int) -> float:
    """Half of our 95% interval, in standard deviations, for normal scores that have this AUC."""
    random = np.random.default_rng(seed)
    scores = np.concatenate([random.normal(-math.sqrt(2) * norm.ppf(area), 1, ITEMS), random.normal(0, 1, ITEMS)])
    groups = two_groups(scores.tolist(), [True] * ITEMS + [False] * ITEMS)
    assert groups is not None
    interval = auc(groups, seed=seed)
    return (interval.high - interval.low) / (2 * 1.959964)


def _guessing(fpr: float) -> float:
    """The mean TPR of scores that say nothing, over 200 draws."""
    random, found = np.random.default_rng(0), []
    for _ in range(200):
        groups = two_groups(random.normal(size=2 * ITEMS).tolist(), [True] * ITEMS + [False] * ITEMS)
        assert groups is not None
        found.append(tpr(groups, fpr, resamples=1).mean)
    return float(np.mean(found))


if __name__ == "__main__":
    main()
