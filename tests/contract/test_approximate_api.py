"""`approximate` of a trace: the real app, on corpora of CPython's manual."""

import httpx

from tests.contract.test_tracing_api import OWNERS, ask, client, home  # noqa: F401 (fixtures)
from tests.tracing_support import manual


def altered(text: str) -> str:
    """Another case, no punctuation, and every twelfth word another."""
    words = [word.strip('.,;"').upper() for word in text.split()]
    return " ".join("zebra" if number % 12 == 11 else word for number, word in enumerate(words))


def test_what_stands_nearly_is_told_with_its_document_and_differences(client: httpx.Client) -> None:  # noqa: F811
    paragraph = max(manual()[40:80], key=len)
    text = f"I was told that {altered(paragraph)}"
    answer = ask(client, "/v1/trace", text=text, owners=[*OWNERS], approximate=True)
    match = max(answer["approximate"], key=lambda one: one["end"] - one["start"])
    assert (match["owner"], match["corpus"]) == ("papers", "papers")
    assert match["snippet"] in paragraph
    assert text[match["start"] : match["end"]] == match["text"]
    assert 0.8 <= match["similarity"] < 1
    assert {text[one["start"] : one["end"]] for one in match["differences"]} == {"zebra"}
    for one in match["differences"]:
        assert match["snippet"][one["match_start"] : one["match_end"]].upper() not in {"", "ZEBRA"}
    assert answer["timings"]["approximate"] > 0
    assert not answer["warnings"]


def test_it_is_off_unless_asked_for_and_leaves_out_what_stands_verbatim(client: httpx.Client) -> None:  # noqa: F811
    text = manual()[50]
    assert ask(client, "/v1/trace", text=altered(text), owners=[*OWNERS])["approximate"] == []
    answer = ask(client, "/v1/trace", text=text, owners=[*OWNERS], approximate=True, max_spans=999)
    spans = [(span["start"], span["end"]) for span in answer["spans"]]
    for match in answer["approximate"]:
        assert not any(start <= match["start"] and match["end"] <= end for start, end in spans)


def test_an_owner_left_out_is_in_no_approximate_match(client: httpx.Client) -> None:  # noqa: F811
    text = altered(max(manual()[40:80], key=len))
    answer = ask(client, "/v1/trace", text=text, owners=["encyclopedia", "python"], approximate=True)
    assert "papers" not in str(answer["approximate"])
