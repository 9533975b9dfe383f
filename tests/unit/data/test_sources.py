"""Each source, read from items of our own in the form the wheel has them."""

from typing import Any

import pytest

from gateway.data.sources import boolq, coqa, drop, medmcqa, qasper, sciq, squad
from gateway.data.sources.standalone import names_its_subject

from .conftest import MakeBenchmarks

HERON = "The heron of Marl Lake fishes at dawn.\nIt eats two frogs."


def test_squad_gives_passage_and_question_out_of_the_prompt(benchmarks: MakeBenchmarks) -> None:
    prompt = f"Title: Marl_Lake\nBackground: {HERON}\nQuestion: When does it fish?\nAnswer:"
    items = [
        {"id": "q1", "query": prompt, "answers_text": ["dawn", "dawn", "at dawn"]},
        {"id": "q2", "query": prompt.replace("When does it fish?", "What does it eat?"), "answers_text": ["two frogs"]},
    ]
    reading = squad.read(benchmarks("squad/bpb_5shot", items))
    [document] = reading.documents
    assert (document.title, document.text, document.owner) == ("Marl Lake", HERON, "encyclopedia")
    assert [(q.question, q.answers, q.document) for q in reading.questions] == [
        ("When does it fish?", ["dawn", "at dawn"], document.id),
        ("What does it eat?", ["two frogs"], document.id),
    ]


def test_squad_in_another_form_is_refused_rather_than_misread(benchmarks: MakeBenchmarks) -> None:
    items = [{"id": "q1", "query": "Passage: a heron\nQuestion: what?", "answers_text": ["a heron"]}]
    with pytest.raises(ValueError, match="q1"):
        squad.read(benchmarks("squad/bpb_5shot", items))


def test_boolq_answers_yes_or_no(benchmarks: MakeBenchmarks) -> None:
    def item(number: int, question: str, gold: int) -> dict[str, object]:
        query = f"Marl Lake -- {HERON}\nQuestion: {question}\nAnswer:"
        return {"idx": number, "query": query, "choices": ["yes", "no"], "gold": gold}

    items = [item(0, "do herons eat frogs?", 0), item(1, "do herons fish at noon?", 1)]
    reading = boolq.read(benchmarks("boolq/rc_0shot", items))
    assert [(d.title, d.text) for d in reading.documents] == [("Marl Lake", HERON)]
    assert [(q.question, q.answers) for q in reading.questions] == [
        ("do herons eat frogs?", ["yes"]),
        ("do herons fish at noon?", ["no"]),
    ]


def test_an_answer_of_several_spans_is_one_answer(benchmarks: MakeBenchmarks) -> None:
    item = {
        "query_id": "d1",
        "passage": HERON,
        "question": "Who and what?",
        "answers": [["heron", "frogs"], ["the heron"]],
    }
    reading = drop.read(benchmarks("drop/bpb_5shot", [item]))
    assert reading.questions[0].answers == ["heron, frogs", "the heron"]


def test_a_turn_of_a_conversation_comes_with_what_was_said_before_and_nothing_after(
    benchmarks: MakeBenchmarks,
) -> None:
    turns = [
        {"question": "Who fishes at Marl Lake?", "answer": "the heron"},
        {"question": "When?", "answer": "at dawn"},
        {"question": "What does it eat?", "answer": "two frogs"},
    ]
    items = [
        {
            "id": f"story7_turn{n}",
            "source": "cnn",
            "story": HERON,
            "question": turn["question"],
            "answers": [turn["answer"], "unknown"],
            "previous_qa": turns,
        }
        for n, turn in enumerate(turns)
    ]
    sets = benchmarks("coqa/bpb_0shot", items)
    reading = coqa.read(coqa.NEWS, sets)
    assert [document.id for document in reading.documents] == ["coqa-cnn:story7"]
    assert [question.answers for question in reading.questions] == [["the heron"], ["at dawn"], ["two frogs"]]
    assert [len(question.context or []) for question in reading.questions] == [0, 1, 2]
    assert [question.standalone for question in reading.questions] == [True, False, False]
    assert coqa.read(coqa.LITERATURE, sets).documents == []


def test_a_turn_that_the_story_does_not_answer_is_left_out(benchmarks: MakeBenchmarks) -> None:
    item = {
        "id": "story7_turn0",
        "source": "gutenberg",
        "story": HERON,
        "question": "How old is it?",
        "answers": ["unknown", "Unknown."],
        "previous_qa": [],
    }
    assert coqa.read(coqa.LITERATURE, benchmarks("coqa/bpb_0shot", [item])).questions == []


def test_two_conversations_about_one_story_share_its_document(benchmarks: MakeBenchmarks) -> None:
    items = [
        {
            "id": f"{story}_turn0",
            "source": "wikipedia",
            "story": HERON,
            "question": "What fishes?",
            "answers": ["a heron"],
            "previous_qa": [],
        }
        for story in ("one", "two")
    ]
    reading = coqa.read(coqa.ENCYCLOPEDIA, benchmarks("coqa/bpb_0shot", items))
    assert [document.id for document in reading.documents] == ["coqa-wikipedia:one"]
    assert [question.document for question in reading.questions] == ["coqa-wikipedia:one"] * 2


def test_a_sciq_question_without_a_paragraph_has_no_document(benchmarks: MakeBenchmarks) -> None:
    items = [
        {"index": 0, "question": "What fishes at dawn?", "correct_answer": "herons", "support": HERON},
        {"index": 1, "question": "What is wet?", "correct_answer": "water", "support": ""},
    ]
    reading = sciq.read(benchmarks("sciq/mc_5shot", items))
    assert [question.document for question in reading.questions] == [reading.documents[0].id, None]
    assert len(reading.documents) == 1


def test_a_medical_answer_is_the_text_of_the_right_option(benchmarks: MakeBenchmarks) -> None:
    explanation = "Feathers of the heron shed powder that keeps them dry in the water of the lake."
    common: dict[str, Any] = {
        "opa": "Oil",
        "opb": "Powder",
        "opc": "Wax",
        "opd": "All of the above",
        "subject_name": "Anatomy",
    }
    items = [
        common | {"id": "m1", "question": "What keeps a heron dry?", "cop": 1, "exp": explanation, "topic_name": None},
        common
        | {"id": "m2", "question": "Which of the following is true?", "cop": 3, "exp": "Ans. d", "topic_name": "Birds"},
    ]
    reading = medmcqa.read(benchmarks("medmcqa/mc_5shot", items))
    assert [(d.id, d.title, d.text) for d in reading.documents] == [("medmcqa:m1", "Anatomy", explanation)]
    assert [(q.answers, q.document, q.standalone) for q in reading.questions] == [
        (["Powder"], "medmcqa:m1", True),
        (["All of the above"], None, False),
    ]


def test_a_paper_is_its_title_abstract_and_sections_without_crumbs_of_latex(benchmarks: MakeBenchmarks) -> None:
    item = {
        "id": "0000.00001_2",
        "title": "On Herons",
        "abstract": "We watch herons.",
        "full_text": {
            "section_name": [None, "Data ::: Lakes", "Empty"],
            "paragraphs": [["1.1em", "Herons wait."], ["We visited Marl Lake.", ""], []],
        },
        "question": "Do they visit lakes?",
        "question_id": "p1",
        "answer": "Yes",
    }
    reading = qasper.read(benchmarks("qasper_yesno/mc_5shot", [item]))
    [document] = reading.documents
    assert document.id == "qasper:0000.00001"
    assert document.text == "\n\n".join(
        ["On Herons", "We watch herons.", "Herons wait.", "Data: Lakes", "We visited Marl Lake."]
    )
    assert [(q.answers, q.document, q.standalone) for q in reading.questions] == [(["yes"], document.id, False)]


@pytest.mark.parametrize(
    ("question", "stands_alone"),
    [
        ("Which lake does the Marl Heron Society protect?", True),
        ("What did the society do in 1950?", True),
        ("Where does he live in Marl?", False),
        ("What does this article say about Marl Lake?", False),
        ("Who was it?", False),
        ("what was being planned that day?", False),
    ],
)
def test_a_question_stands_alone_if_it_names_its_subject(question: str, stands_alone: bool) -> None:
    assert names_its_subject(question) is stands_alone
