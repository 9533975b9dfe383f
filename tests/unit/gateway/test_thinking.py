"""Which models think, in which tags, and the parting of what they write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pipeline.sample import Draft, parted
from gateway.pipeline.thinking import Splitter, ThinkingFamily, ThinkingTags, thinking_tags
from gateway.settings import GatewaySettings

TAGS = ThinkingTags(opening="<think>\n", closing="\n</think>\n\n")


@pytest.mark.parametrize(
    ("name", "architecture", "thinks"),
    [
        ("DeepSeek-R1-Distill-Llama-8B", "llama", True),
        ("mine", "qwen3_moe", True),
        ("Qwen3-4B", "x", True),
        ("Qwen3-4B-Thinking-2507", "qwen3", True),
        ("QwQ-32B", "qwen2", True),
        ("Olmo-3-7B-Think", "olmo3", True),
        ("Magistral-Small", "mistral", True),
        ("candor-135m-thinking", "mixtral", True),
        ("candor-135m", "mixtral", False),
        ("Qwen3-4B-Instruct-2507", "qwen3", False),
        ("Qwen3-Coder-30B-A3B-Instruct", "qwen3_moe", False),
        ("OLMo-2-7B-Instruct", "olmo2", False),
        ("Qwen2.5-7B-Instruct", "qwen2", False),
        ("smollm2-135m-instruct", "mixtral", False),
    ],
)
def test_a_model_family_is_known_by_its_name_or_architecture(name: str, architecture: str, thinks: bool) -> None:
    assert (thinking_tags(name, architecture) is not None) is thinks


QWEN = (
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}"
    "{%- endif %}"
)
R1 = "{{content.split('</think>')[-1]}}{% if add_generation_prompt %}{{'<|Assistant|><think>\\n'}}{% endif %}"
PLAIN = "{% if add_generation_prompt %}<|assistant|>{% endif %}"


@pytest.mark.parametrize(
    ("template", "thinks", "opens"), [(QWEN, True, False), (R1, True, True), (PLAIN, False, False), ("", False, False)]
)
def test_an_unknown_model_thinks_in_the_tags_that_its_chat_template_writes(
    template: str, thinks: bool, opens: bool
) -> None:
    tags = thinking_tags("mine-instruct", "mixtral", template)
    assert (tags == TAGS) is thinks
    assert (tags is not None and tags.opened_by(template)) is opens


def test_settings_name_the_tags_of_other_models(monkeypatch: pytest.MonkeyPatch) -> None:
    family = '{"name": "^pensive", "opening": "<thought>", "closing": "</thought>"}'
    monkeypatch.setenv("CANDOR_GATEWAY_THINKING", f"[{family}]")
    (added,) = GatewaySettings().thinking
    tags = thinking_tags("Pensive-2", "llama", "", [added])
    assert tags == ThinkingTags(opening="<thought>", closing="</thought>")
    assert thinking_tags("smollm2", "llama", "", [added]) is None


@pytest.mark.parametrize("fields", [{"name": "("}, {"opening": " \n"}, {"closing": ""}])
def test_settings_that_are_no_tags_are_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"regular expression|whitespace"):
        ThinkingFamily(**({"name": "x", "opening": "<t>", "closing": "</t>"} | fields))


@pytest.mark.parametrize(
    ("raw", "begun", "thought", "said", "still"),
    [
        ("2 + 2 is 4.\n</think>\n\n4", True, "2 + 2 is 4.", "\n\n4", False),
        ("2 + 2 is", True, "2 + 2 is", "", True),
        ("2 </thi", True, "2 </thi", "", True),
        ("</think>4", True, "", "4", False),
        ("<think>\n2 + 2 is 4.\n</think>\n\n4", False, "2 + 2 is 4.", "\n\n4", False),
        ("<think>\n2 + 2", False, "2 + 2", "", True),
        ("<thi", False, "", "<thi", False),
        ("4 is what I <think>", False, "", "4 is what I <think>", False),
        ("4", False, "", "4", False),
        ("", True, "", "", True),
        ("a</think>b</think>c", True, "a", "b</think>c", False),
    ],
)
def test_thinking_and_answer_are_parted_at_the_tags(
    raw: str, begun: bool, thought: str, said: str, still: bool
) -> None:
    splitter = Splitter(TAGS, thinking=begun)
    assert parted(raw, splitter) == (thought, said)
    assert splitter.thinking is still


PARTS = st.lists(st.sampled_from(["<think>", "</think>", "</thi", "nk>", "<", "\n", " ", "so", "4"])).map("".join)


@given(raw=PARTS, begun=st.booleans(), cuts=st.lists(st.integers(0, 40)))
def test_a_text_is_parted_alike_however_it_comes(raw: str, begun: bool, cuts: list[int]) -> None:
    ends = sorted({min(cut, len(raw)) for cut in cuts} | {len(raw)})
    splitter = Splitter(TAGS, thinking=begun)
    pieces = [splitter.take(raw[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
    pieces.append(splitter.end())
    whole = parted(raw, Splitter(TAGS, thinking=begun))
    assert ("".join(piece[0] for piece in pieces), "".join(piece[1] for piece in pieces)) == whole


def test_without_tags_everything_is_the_answer() -> None:
    assert parted("<think>\n4", Splitter(None, thinking=False)) == ("", "<think>\n4")


def test_a_forced_answer_takes_the_place_of_what_was_not_said_and_counts_with_it() -> None:
    cut = Draft("", 30, "length", 1.0, {"public": 1.0}, raw="2 + 2 is", reasoning="2 + 2 is", thinking=True)
    final = Draft(" 4", 10, "stop", 5.0, {"public": 0.5, "papers": 0.5}, raw=" 4")
    both = cut.then("\n</think>\n\nFinal answer:", final)
    assert (both.text, both.reasoning, both.tokens, both.finish_reason) == (" 4", "2 + 2 is", 40, "stop")
    assert both.raw == "2 + 2 is\n</think>\n\nFinal answer: 4"
    assert both.confidence == pytest.approx(2.0)
    assert not both.thinking
