"""The rules for web pages: each leaves out what it names, and prose passes them all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.retrieval.datastore.ingest.quality import RULES, Page, fault
from services.retrieval.datastore.ingest.repetition import repeated_share, top_share

PROSE = """The harbour lies where the river meets the sea, and ships of every size have called there for a century.
Its first quay was built of timber. Storms took it away twice, and each time the town paid for a longer one.

Today eight cranes unload grain, paper and machines. A pilot meets every vessel beyond the outer buoy! Who would
rather wait for the tide than pay him? Few captains would, since fog comes without warning and the channel shifts."""

BROKEN = {
    "fewer than 50 words (Gopher)": "Ships of every size. They call. They leave. It rains. It stops.",
    "more than 100,000 words (Gopher)": "Of ships. " * 50_001,
    "mean word under 3 or over 10 letters (Gopher)": "A b c. " * 60,
    "over 0.1 hash signs a word (Gopher)": PROSE + " #" * 12,
    "over 0.1 ellipses a word (Gopher)": PROSE + " and so on ..." * 20,
    "over 90% of lines bulleted (Gopher)": "\n".join(f"• {line}" for line in PROSE.splitlines() if line),
    "over 30% of lines end in an ellipsis (Gopher)": PROSE.replace(".\n", " …\n").replace(", and ships", " …\n"),
    "under 80% of words have a letter (Gopher)": PROSE + " 4711" * 40,
    "fewer than 5 sentences (C4)": PROSE.replace(".", ",").replace("!", ","),
    "placeholder text (C4)": PROSE + "\n\nLorem ipsum dolor sit amet.",
    "repeats itself (Gopher, table A1)": "\n".join([PROSE, *PROSE.splitlines()]),
}


def test_prose_passes_every_rule() -> None:
    assert fault(PROSE) is None


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_each_rule_leaves_out_what_it_names_and_is_named(rule: str) -> None:
    assert fault(BROKEN[rule]) == rule


@settings(max_examples=60)
@given(st.text(st.sampled_from("aé1 .!?\n#-•…'\"{")).filter(str.strip))
def test_the_rules_have_a_verdict_on_any_text(text: str) -> None:
    named = fault(text)
    assert named is None or next(rule for rule in RULES if rule.name == named).breaks(Page(text))


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["a", "bb", "ccc"]), min_size=1, max_size=25), st.integers(2, 5))
def test_the_shares_of_repeated_grams_are_those_counted_by_hand(words: list[str], n: int) -> None:
    starts = range(len(words) - n + 1)
    grams = [tuple(words[start : start + n]) for start in starts]
    covered = {start + place for start in starts if grams.count(grams[start]) > 1 for place in range(n)}
    total = sum(map(len, words))
    assert repeated_share(words, n) == sum(len(words[place]) for place in covered) / total
    most = max((grams.count(gram) * len("".join(gram)) for gram in grams if grams.count(gram) > 1), default=0)
    assert top_share(words, n) == most / total
