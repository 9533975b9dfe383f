"""From a request to the question for the model: options, prompt, prefill, budgets."""

import pytest

from gateway.pipeline.ask import FINAL_TOKENS, ask
from gateway.pipeline.options import UnknownModel, options, retrieval_of, trace_of
from gateway.pipeline.prompt import compose, question, search_query
from gateway.pipeline.retrieve import fitting
from gateway.pipeline.sample import Draft
from gateway.pipeline.served import Served
from gateway.pipeline.thinking import ThinkingTags
from gateway.policy import Consent
from shared.contracts.candor import ChatRequest, OwnerChoice, ReadPassage
from shared.contracts.openai import Message
from shared.contracts.retrieval import PassageScores
from shared.http.errors import InvalidRequest

CONSENT = Consent((), (), OwnerChoice(), ())
SERVED = Served("smollm2", "mixtral", ("public", "papers"), 8192)
TAGS = ThinkingTags(opening="<think>\n", closing="\n</think>\n\n")
THINKER = Served("DeepSeek-R1-Distill-Qwen-7B", "qwen2", ("public",), 8192, TAGS)


def chat(**fields: object) -> ChatRequest:
    turns = fields.pop("messages", [{"role": "user", "content": "How tall is the tower of Brenholm?"}])
    return ChatRequest.model_validate({"model": "candor", "messages": turns, **fields})


def passage(n: int, text: str) -> ReadPassage:
    return ReadPassage(
        n=n,
        id=f"p{n}",
        document=f"d{n}",
        owner="papers",
        source="s",
        title="T",
        licence="CC0-1.0",
        text=text,
        scores=PassageScores(),
    )


@pytest.mark.parametrize(
    ("model", "reads", "traces"),
    [
        ("candor", True, True),
        ("candor-rag", True, False),
        ("candor-trace", False, True),
        ("candor-plain", False, False),
    ],
)
def test_a_model_name_says_which_stages_run(model: str, reads: bool, traces: bool) -> None:
    chosen = options(chat(model=model))
    assert (retrieval_of(chosen) is not None, trace_of(chosen) is not None) == (reads, traces)


def test_explicit_fields_win_over_the_model_name() -> None:
    chosen = options(chat(model="candor-plain", candor={"retrieval": {"k": 2}, "sampling": {"samples": 3}}))
    assert (retrieval_of(chosen) or pytest.fail("no retrieval")).k == 2
    assert (chosen.sampling.samples, chosen.sampling.mode) == (3, "plain")


@pytest.mark.parametrize("off", [False, {"enabled": False}])
def test_a_stage_is_turned_off_by_false_or_by_enabled(off: object) -> None:
    assert retrieval_of(options(chat(candor={"retrieval": off}))) is None


def test_an_unknown_model_is_an_error_that_names_those_served() -> None:
    with pytest.raises(UnknownModel, match="candor-rag") as error:
        options(chat(model="gpt"))
    assert (error.value.status, error.value.field) == (404, "model")


def test_there_are_at_least_as_many_samples_as_choices() -> None:
    assert options(chat(model="candor-plain", n=3)).sampling.samples == 3


@pytest.mark.parametrize(
    ("fields", "budget"),
    [
        ({"max_tokens": 10}, 10),
        ({"max_tokens": 300}, 300),
        ({"max_tokens": 300, "candor": {"sampling": {"budget": 50}}}, 50),
        ({"max_completion_tokens": 20, "candor": {"sampling": {"budget": 50}}}, 20),
    ],
)
def test_openais_token_limit_is_the_budget_and_never_widens_one(fields: dict[str, object], budget: int) -> None:
    assert options(chat(**fields)).sampling.budget == budget


def test_the_question_is_the_last_users_turn() -> None:
    turns = [
        Message(role="user", content="A?"),
        Message(role="assistant", content="B"),
        Message(role="user", content=" C? "),
    ]
    assert question(turns) == "C?"


@pytest.mark.parametrize("turns", [[("system", "hello")], [("user", "  ")]])
def test_no_question_is_an_error_that_names_messages(turns: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidRequest) as error:
        question([Message.model_validate({"role": role, "content": text}) for role, text in turns])
    assert error.value.field == "messages"


def test_a_short_question_is_searched_for_with_the_one_before_it() -> None:
    turns = [
        Message(role="user", content="Who built the lighthouse of Brenholm?"),
        Message(role="assistant", content="Ada Quill"),
        Message(role="user", content="And when?"),
    ]
    assert search_query(turns) == "Who built the lighthouse of Brenholm? And when?"
    assert search_query(turns[:1]) == "Who built the lighthouse of Brenholm?"


def test_passages_stand_in_reverse_order_each_under_its_rank_and_before_the_question() -> None:
    told = compose([Message(role="user", content="How tall?")], [passage(1, "best"), passage(2, "worse")], direct=False)
    text = told[-1].text()
    assert text.index("worse") < text.index("best") < text.index("How tall?")
    assert "[1] best" in text


def test_a_short_question_stands_before_the_passages_too_when_asked_directly() -> None:
    told = compose([Message(role="user", content="How tall?")], [passage(1, "text")], direct=True)
    assert told[-1].text().count("How tall?") == 2
    long = "word " * 200
    assert (
        compose([Message(role="user", content=long)], [passage(1, "text")], direct=True)[-1].text().count(long[:-1])
        == 1
    )


def test_the_clients_system_message_and_earlier_turns_are_kept() -> None:
    turns = [
        Message(role="developer", content="Speak like a sailor."),
        Message(role="user", content="Hello"),
        Message(role="assistant", content="Ahoy"),
        Message(role="user", content="How tall?"),
    ]
    told = compose(turns, [passage(1, "text")], direct=True)
    assert [(turn.role, turn.content) for turn in told[:3]] == [
        ("system", "Speak like a sailor."),
        ("user", "Hello"),
        ("assistant", "Ahoy"),
    ]


def test_plain_mode_leaves_the_question_as_the_client_wrote_it() -> None:
    request = chat(model="candor-plain")
    put = ask(request, options(request).sampling, [], CONSENT, SERVED)
    assert put.request.messages[-1].content == "How tall is the tower of Brenholm?"
    assert (put.forced, put.request.temperature, put.request.n) == (0, 0.0, 1)


def test_a_thinking_model_gets_its_block_prefilled_and_closed() -> None:
    request = chat()
    put = ask(request, options(request).sampling, [], CONSENT, THINKER)
    assert put.request.messages[-1].role == "assistant"
    assert put.request.messages[-1].text().startswith("<think>")
    assert put.request.messages[-1].text().rstrip().endswith("</think>")
    assert put.request.candor.continue_final_message
    assert put.request.candor.control == ["<think>", "</think>"]
    assert put.request.messages[-2].content == "How tall is the tower of Brenholm?"


def thinking(**sampling: object) -> ChatRequest:
    return chat(candor={"sampling": {"mode": "thinking", **sampling}})


def test_a_thinking_model_that_is_to_think_gets_its_block_opened() -> None:
    request = thinking()
    put = ask(request, options(request).sampling, [], CONSENT, THINKER)
    assert put.request.messages[-1].text() == "<think>\n"
    assert put.splitter().thinking


def test_a_model_without_known_tags_is_not_asked_to_think() -> None:
    request = thinking()
    with pytest.raises(InvalidRequest, match="no_thinking") as refused:
        ask(request, options(request).sampling, [], CONSENT, SERVED)
    assert refused.value.field == "candor.sampling.mode"


@pytest.mark.parametrize("budget", [1, 2, 20, 47, 48, 88, 1000])
def test_thinking_costs_no_more_than_not_thinking(budget: int) -> None:
    for mode in ("thinking", "no_thinking", "plain"):
        request = chat(candor={"sampling": {"mode": mode, "budget": budget}})
        put = ask(request, options(request).sampling, [], CONSENT, THINKER)
        assert (put.request.max_tokens or 0) + put.forced == put.budget == budget
        assert put.forced > 0 or mode != "thinking" or budget == 1


def test_the_default_budget_leaves_64_tokens_before_a_forced_answer() -> None:
    put = ask(chat(), options(chat()).sampling, [], CONSENT, SERVED)
    assert (put.request.max_tokens, put.forced) == (64, FINAL_TOKENS)


def test_a_plain_question_to_a_model_whose_template_opens_the_thinking_begins_in_it() -> None:
    request = chat(candor={"sampling": {"mode": "plain"}})
    opens = Served("QwQ-32B", "qwen2", ("public",), 8192, TAGS, opens=True)
    for served, begins in ((THINKER, False), (opens, True)):
        put = ask(request, options(request).sampling, [], CONSENT, served)
        assert (put.prefill, put.splitter().thinking) == ("", begins)


def test_the_forced_final_answer_goes_on_from_what_the_sample_said() -> None:
    for served in (SERVED, THINKER):
        request = chat(stop="###")
        put = ask(request, options(request).sampling, [], CONSENT, served)
        final = put.final(draft("It depends on"))
        assert final.messages[-1].text() == f"{put.prefill}It depends on\n\nFinal answer:"
        assert [turn.role for turn in final.messages] == ["user", "assistant"]
        assert (final.n, final.max_tokens, final.candor.continue_final_message) == (1, FINAL_TOKENS, True)
        assert "###" in final.stops()


def draft(raw: str, *, thinking: bool = False) -> Draft:
    return Draft(raw, 3, "length", 1.0, {}, raw=raw, thinking=thinking)


def test_thinking_that_was_cut_off_is_closed_before_the_cue() -> None:
    request = thinking()
    put = ask(request, options(request).sampling, [], CONSENT, THINKER)
    cut, over = draft("It is", thinking=True), draft("It is 5.\n</think>\n\nSo")
    assert put.final(cut).messages[-1].text() == "<think>\nIt is\n</think>\n\nFinal answer:"
    assert put.final(over).messages[-1].text() == "<think>\nIt is 5.\n</think>\n\nSo\n\nFinal answer:"


def test_an_answer_asked_to_be_short_ends_with_its_first_paragraph_and_others_do_not() -> None:
    short, plain = chat(stop="###"), chat(model="candor-plain", stop=["###"])
    assert ask(short, options(short).sampling, [], CONSENT, SERVED).request.stops() == ["###", "\n\n"]
    assert ask(short, options(short).sampling, [], CONSENT, THINKER).request.stops() == ["###"]
    assert ask(plain, options(plain).sampling, [], CONSENT, SERVED).request.stops() == ["###"]


def test_both_calls_together_stay_within_the_clients_limit() -> None:
    for limit in (10, 47, 48, 100):
        request = chat(max_tokens=limit)
        put = ask(request, options(request).sampling, [], CONSENT, SERVED)
        assert (put.request.max_tokens or 0) + put.forced <= limit


def test_several_samples_are_drawn_and_one_is_greedy_unless_the_client_says_otherwise() -> None:
    for fields, temperature in (
        ({}, 0.3),
        ({"candor": {"sampling": {"samples": 1}}}, 0.0),
        ({"temperature": 1.2}, 1.2),
    ):
        request = chat(**fields)
        assert ask(request, options(request).sampling, [], CONSENT, SERVED).request.temperature == temperature


def test_passages_are_cut_to_the_room_the_messages_leave_and_the_best_go_first() -> None:
    words = "word " * 100
    turns = [Message(role="user", content="x" * 250)]
    kept = fitting([passage(1, words.strip()), passage(2, words.strip())], turns, 400)
    assert [found.n for found in kept] == [1, 2]
    assert len(kept[0].text.split()) == 100
    assert 30 <= len(kept[1].text.split()) < 100
    assert fitting([passage(1, words)], turns, 100) == []
