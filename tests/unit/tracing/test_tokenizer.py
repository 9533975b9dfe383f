"""Encoding loses nothing, whatever the text and the kind of tokenizer."""

import json
import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Encoder

from services.tracing.tokenizer import BadTokenizer, LossyTokenizer, Tokenizer
from tests.unit.tracing.trained import KINDS, SPACE, tokenizer_of

some = st.text(st.sampled_from("ab  \n.é\u2581日<0x41>\x04\U00050000"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kinds")


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request: pytest.FixtureRequest, folder: Path) -> Tokenizer:
    return tokenizer_of(request.param, folder)


@settings(deadline=None)
@given(text=st.one_of(st.text(), some))
@example(text="a\x04b\x13\x1d")
@example(text="<|end|> is text here, </s> and <unk> too, and <table>  \n")
@example(text="\U00050000 \U000f0000\U0010ffff")
@example(text="👩‍🔬 e\u0301 \ufeff")
@example(text="\u2581 \u2581\u2581a <0x41> <0xE2>")
@example(text="")
@example(text=" ")
def test_a_text_comes_back_byte_for_byte(text: str, kind: Tokenizer) -> None:
    encoded = kind.encode(text)
    assert kind.decode(encoded.ids) == text.encode()
    assert [ids.tolist() for ids in kind.encode_many([text, "a", text])][::2] == [encoded.ids.tolist()] * 2
    assert encoded.ids.dtype == kind.dtype
    assert not np.any(encoded.ids == kind.separator)
    assert len(encoded.words) == len(encoded.ids)
    assert kind.lengths[encoded.ids].sum() == len(text.encode())


@settings(deadline=None)
@given(text=st.one_of(st.text(), some))
def test_a_word_has_the_same_tokens_wherever_it_stands(text: str, folder: Path) -> None:
    for name in ("llama", "metaspace", "bytes"):
        tokenizer = _kept(name, folder)
        encoded = tokenizer.encode(text)
        tokens = zip(encoded.words.tolist(), encoded.ids.tolist(), strict=True)
        pieces = [[identity for _, identity in word] for _, word in groupby(tokens, key=lambda token: token[0])]
        for piece in pieces:
            word = tokenizer.decode(piece).decode()
            if word[0] == " ":
                after = tokenizer.encode("q" + word).ids.tolist()
                assert after[-len(piece) :] == piece
        spaced = sum(map(len, re.findall(r"(?<=[^ ]) ", text)))
        assert len(pieces) > spaced or not text


def _kept(name: str, folder: Path, kept: dict[str, Tokenizer] = {}) -> Tokenizer:  # noqa: B006
    if name not in kept:
        kept[name] = tokenizer_of(name, folder)
    return kept[name]


@pytest.mark.parametrize(
    ("name", "dtype", "separator"),
    [("bytes", "uint8", 0xFF), ("llama", "uint16", 0xFFFF), ("wide", "uint32", 0xFFFFFFFF)],
)
def test_ids_are_as_narrow_as_the_vocabulary_allows(name: str, dtype: str, separator: int, folder: Path) -> None:
    tokenizer = _kept(name, folder)
    assert (tokenizer.dtype.name, tokenizer.separator) == (dtype, separator)
    assert tokenizer.separator >= tokenizer.size


@settings(deadline=None)
@given(text=st.text(min_size=1))
def test_but_for_the_space_put_first_the_tokens_are_those_of_the_file(text: str, folder: Path) -> None:
    assume(SPACE not in text and not text.startswith(" "))
    ours = _kept("llama", folder)
    theirs = Encoder.from_file(str(folder / "llama" / "tokenizer.json"))
    theirs.encode_special_tokens = True
    assert ours.encode(" " + text).ids.tolist() == theirs.encode(text, add_special_tokens=False).ids


def test_a_byte_the_vocabulary_lacks_does_not_vanish_into_its_neighbours(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("a\x04b").ids.tolist() != tokenizer.encode("ab").ids.tolist()


@pytest.mark.parametrize("name", ["<|end|>", "</s>", "<unk>"])
def test_the_name_of_a_special_token_is_plain_text(name: str, kind: Tokenizer) -> None:
    assert len(kind.encode(name).ids) > 1


def test_a_lone_surrogate_is_refused(kind: Tokenizer) -> None:
    with pytest.raises(UnicodeEncodeError):
        kind.encode("half \ud800 a pair")


@pytest.mark.parametrize("name", ["byte-level", "llama", "metaspace"])
def test_terms_fold_case_and_the_space_before_a_word(name: str, folder: Path) -> None:
    tokenizer = _kept(name, folder)
    the, other, space = (tokenizer.encode(text).ids[0] for text in (" the", "The", " "))
    assert tokenizer.terms[the] == tokenizer.terms[other] != 0
    assert tokenizer.terms[space] == 0


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("name", "change", "error", "says"),
    [
        (
            "byte-level",
            lambda file: file.update(normalizer={"type": "NFKC"}),
            LossyTokenizer,
            "normalizer NFKC changes",
        ),
        ("byte-level", lambda file: file.update(normalizer={"type": "NFC"}), LossyTokenizer, "normalizer NFC changes"),
        (
            "llama",
            lambda file: file["normalizer"]["normalizers"].append({"type": "Lowercase"}),
            LossyTokenizer,
            "Lower",
        ),
        ("llama", lambda file: file.update(normalizer=None), BadTokenizer, "writes neither bytes"),
        ("llama", lambda file: file.update(pre_tokenizer={"type": "Whitespace"}), LossyTokenizer, "leaves out"),
        (
            "llama",
            lambda file: file.update(
                pre_tokenizer={"type": "Split", "pattern": {"String": "a"}, "behavior": "Removed", "invert": False}
            ),
            LossyTokenizer,
            "leaves out",
        ),
        ("llama", lambda file: file["model"].update(type="Unigram"), BadTokenizer, "its model is Unigram"),
        ("llama", lambda file: file["model"].update(end_of_word_suffix="</w>"), LossyTokenizer, "marks parts of words"),
        ("llama", lambda file: file["model"].update(vocab={"a": 0}, merges=[]), LossyTokenizer, "has no \u2581"),
        ("llama", lambda file: file["model"].update(merges=[["no", "piece"]]), BadTokenizer, "cannot read it"),
        ("llama", lambda file: file.pop("model"), BadTokenizer, "is no tokenizer.json"),
    ],
)
def test_a_tokenizer_that_cannot_give_a_text_back_is_refused_and_it_is_said_why(
    name: str, change: Change, error: type[Exception], says: str, *, folder: Path, tmp_path: Path
) -> None:
    _kept(name, folder)
    file = json.loads((folder / name / "tokenizer.json").read_text())
    change(file)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(file))
    with pytest.raises(error, match=says) as raised:
        Tokenizer(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'{"model": 1}'])
def test_what_is_no_tokenizer_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(BadTokenizer, match="is no tokenizer"):
        Tokenizer(tmp_path / "tokenizer.json")
