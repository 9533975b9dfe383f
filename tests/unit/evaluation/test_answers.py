"""SQuAD's scores of short answers, against hand-worked cases and a second, slower implementation."""

import re

from hypothesis import given
from hypothesis import strategies as st

from services.evaluation.metrics.answers import contains_gold, exact_match, normalise, token_f1

WORDS = st.sampled_from(["the", "a", "an", "The", "cat", "Cat.", "sat", "on", "mat,", "-", "U.S.", "3", "era"])
TEXTS = st.lists(WORDS, max_size=7).map(" ".join)


def plain_normalise(text: str) -> str:
    """The four rules one at a time, by character and by word."""
    kept = [character for character in text.lower() if character not in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"]
    return " ".join(word for word in "".join(kept).split() if word not in ("a", "an", "the"))


def plain_f1(answer: str, gold: str) -> float:
    """Precision and recall by crossing tokens off one by one."""
    left, hits = plain_normalise(gold).split(), 0
    tokens, wanted = plain_normalise(answer).split(), len(left)
    for token in tokens:
        if token in left:
            left.remove(token)
            hits += 1
    if not tokens or not wanted:
        return float(len(tokens) == wanted)
    if not hits:
        return 0.0
    precision, recall = hits / len(tokens), hits / wanted
    return 2 * precision * recall / (precision + recall)


def test_normalising_drops_case_punctuation_articles_and_spaces() -> None:
    assert normalise("  The U.S. -- Army's\tan   ERA ") == "us armys era"


def test_an_article_inside_a_word_stays() -> None:
    assert normalise("theatre, atlas and panama") == "theatre atlas and panama"


@given(TEXTS)
def test_normalising_agrees_with_the_rules_applied_one_by_one(text: str) -> None:
    assert normalise(text) == plain_normalise(text)


@given(TEXTS)
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=3))
def test_f1_is_the_best_over_the_gold_answers(answer: str, gold: list[str]) -> None:
    assert abs(token_f1(answer, gold) - max(plain_f1(answer, one) for one in gold)) < 1e-12


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=3))
def test_an_exact_match_has_f1_of_one_and_contains_the_gold_answer(answer: str, gold: list[str]) -> None:
    if exact_match(answer, gold):
        assert token_f1(answer, gold) == 1.0
        assert contains_gold(answer, gold) == 1.0 or any(not normalise(one) for one in gold)


@given(TEXTS, TEXTS, TEXTS)
def test_a_gold_answer_is_found_inside_a_longer_one(before: str, gold: str, after: str) -> None:
    assert contains_gold(f"{before} {gold} {after}", [gold]) == float(bool(normalise(gold)))


@given(TEXTS, TEXTS)
def test_contains_is_a_search_over_whole_tokens(answer: str, gold: str) -> None:
    tokens, wanted = normalise(answer).split(), normalise(gold).split()
    places = range(len(tokens) - len(wanted) + 1)
    assert contains_gold(answer, [gold]) == float(
        bool(wanted) and any(tokens[at : at + len(wanted)] == wanted for at in places)
    )


def test_a_gold_answer_is_not_found_inside_a_word() -> None:
    assert contains_gold("the heart", ["art"]) == 0.0
    assert re.search("art", "the heart")


def test_an_answer_matches_any_of_the_gold_answers() -> None:
    assert exact_match("Twenty-three years.", ["23", "twentythree years"]) == 1.0
    assert exact_match("24", ["23", "twenty-three years"]) == 0.0
