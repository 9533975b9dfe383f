"""The measures of a ranking are those of trec_eval."""

from __future__ import annotations

import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from services.evaluation.metrics.ranking import ndcg, recall, reciprocal_rank

DOCUMENTS = [f"d{number}" for number in range(30)]

rankings = st.lists(st.sampled_from(DOCUMENTS), unique=True, max_size=25)
judgements = st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(0, 3), min_size=1).filter(
    lambda grades: any(grade > 0 for grade in grades.values())
)


@given(ranking=rankings, grades=judgements)
def test_the_measures_are_those_of_trec_eval(ranking: list[str], grades: dict[str, int]) -> None:
    evaluator = pytrec_eval.RelevanceEvaluator({"q": grades}, {"ndcg_cut.10", "recall.10,100", "recip_rank"})
    # trec_eval sorts by score itself; an unknown document far down stands for an answer that is empty
    run = {"q": {document: float(-rank) for rank, document in enumerate([*ranking, "unknown"])}}
    (truth,) = evaluator.evaluate(run).values()
    assert ndcg(ranking, grades, 10) == pytest.approx(truth["ndcg_cut_10"], abs=1e-9)
    assert recall(ranking, grades, 10) == pytest.approx(truth["recall_10"], abs=1e-9)
    assert recall(ranking, grades, 100) == pytest.approx(truth["recall_100"], abs=1e-9)
    assert reciprocal_rank(ranking, grades, 100) == pytest.approx(truth["recip_rank"], abs=1e-9)


def test_the_reciprocal_rank_ends_at_its_depth() -> None:
    assert reciprocal_rank(["a", "b", "c"], {"c": 1}, 3) == pytest.approx(1 / 3)
    assert reciprocal_rank(["a", "b", "c"], {"c": 1}, 2) == 0


def test_without_a_relevant_document_there_is_no_score() -> None:
    with pytest.raises(ValueError, match="no document is relevant"):
        ndcg(["a"], {"a": 0}, 10)
    with pytest.raises(ValueError, match="no document is relevant"):
        recall(["a"], {}, 10)
