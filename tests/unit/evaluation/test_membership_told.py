"""What the suite says of made-up scores: memory, distribution shift, both, and neither."""

import numpy as np

from services.evaluation.measured import Group, Scored
from services.evaluation.suites.membership.figures import VERSIONS, plots
from services.evaluation.suites.membership.matching import alike, area, unlike
from services.evaluation.suites.membership.told import told
from shared.contracts.figure import Heatmap

COUNT = 60


def scored(member: float, other: float, *, overlap: tuple[float, float] = (0.1, 0.1), seed: int = 0) -> list[Scored]:
    """Losses around two means; the same noise under every mask, as of the same texts."""
    random = np.random.default_rng(7)
    noise, own = random.normal(0, 1, 2 * COUNT), np.random.default_rng(seed).normal(0, 0.1, 2 * COUNT)
    return [
        Scored(
            f"q{place}",
            f"q{place}",
            b"",
            {
                "member": float(place < COUNT),
                "loss": float((member if place < COUNT else other) + noise[place] + own[place]),
                "overlap_7": overlap[0] if place < COUNT else overlap[1],
                "overlap_13": 0.0,
            },
        )
        for place in range(2 * COUNT)
    ]


def groups(everyone: list[Scored], without: list[Scored]) -> dict[tuple[str, str], Group]:
    return {("papers", "all"): Group(everyone), ("papers", "without papers"): Group(without)}


def test_a_memory_is_told_as_what_leaving_out_takes_away() -> None:
    [said] = told(groups(scored(-2, 0), scored(0, 0, seed=1)), {"papers": "Papers"})
    assert said.startswith("papers (Papers): 60 documents that its expert was trained on, 60 that it was not.")
    assert "no attack is clearly better or worse than guessing" in said
    assert "against without papers: leaving the owner out takes that signal away." in said


def test_a_difference_that_stays_without_the_owner_is_told_as_distribution_shift() -> None:
    [said] = told(groups(scored(-2, 0), scored(-2, 0, seed=1)), {})
    assert "(distribution shift), and that much of any figure is no memory." in said
    assert "no memory of its documents shows" in said


def test_neither_is_told_as_neither() -> None:
    [said] = told(groups(scored(0, 0), scored(0, 0, seed=1)), {})
    assert "no attack is clearly better or worse than guessing" in said
    assert "no memory of its documents shows" in said


def test_what_is_clear_is_so_among_all_owners_tests_as_in_the_report() -> None:
    """A change that would be clear alone, beside 40 owners' of which nothing is known to change."""
    change = groups(scored(-0.12, 0), scored(0, 0, seed=1))
    assert "leaving the owner out takes that signal away" in told(change, {})[0]
    others = {
        (f"o{n}", setting): Group(scored(0, 0, seed=10 + n + 100 * place))
        for n in range(40)
        for place, setting in enumerate(("all", f"without o{n}"))
    }
    together = told({**change, **others}, {})
    assert "no memory of its documents shows" in together[0]


def test_without_a_control_only_what_was_found_is_told() -> None:
    [said] = told({("papers", "all"): Group(scored(-2, 0))}, {})
    assert "by loss" in said
    assert "leaving the owner out" not in said
    assert told({("papers", "public only"): Group(scored(0, 0))}, {}) == [
        "papers (papers): nothing was measured with everyone in."
    ]


def test_of_a_handful_nothing_is_told() -> None:
    few = [one for one in scored(-2, 0) if int(one.question[1:]) % 30 == 0]
    assert told({("papers", "all"): Group(few)}, {}) == [
        "papers (papers): 2 members and 2 non-members are too few to say anything of."
    ]


def test_groups_that_share_other_amounts_cannot_be_matched_and_filters_leave_members_alone() -> None:
    apart = scored(-2, 0, overlap=(0.5, 0.1))
    assert alike(apart, 7) == []
    assert len(alike(apart, 13)) == 2 * COUNT
    assert len(unlike(apart, 7, 0.05)) == COUNT
    assert len(unlike(apart, 7, 0.2)) == 2 * COUNT
    assert area(alike(apart, 7), "loss") is None


def test_matching_takes_away_an_auc_that_the_overlap_made() -> None:
    random = np.random.default_rng(5)
    items = []
    for place in range(400):
        member = place < 200
        # the loss follows the overlap alone, and members overlap more
        overlap = float(random.uniform(0.2, 1.0) if member else random.uniform(0.0, 0.8))
        scores = {"member": float(member), "loss": -overlap + float(random.normal(0, 0.1)), "overlap_7": overlap}
        items.append(Scored(f"q{place}", f"q{place}", b"", scores))
    whole, same = area(items, "loss"), area(alike(items, 7), "loss")
    assert whole is not None
    assert same is not None
    assert whole.low > 0.6
    assert same.low < 0.5 < same.high


def test_the_last_heatmap_has_every_version_of_the_texts() -> None:
    figure = plots(groups(scored(-2, 0), scored(0, 0)))[-1]
    assert isinstance(figure, Heatmap)
    assert figure.columns == list(VERSIONS)
    assert figure.rows == ["papers, loss"]
