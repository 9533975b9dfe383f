"""Encoding loses nothing, whatever the text."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.tracing.tokenizer import Tokenizer


@given(text=st.text())
@example(text="a\x04b\x13\x1d")
@example(text="<|end|> is text here")
@example(text="\U00050000 \U000f0000\U0010ffff")
@example(text="👩‍🔬 e\u0301 \ufeff")
def test_a_text_comes_back_byte_for_byte(text: str, tokenizer: Tokenizer) -> None:
    encoded = tokenizer.encode(text)
    assert tokenizer.decode(encoded.ids) == text.encode()
    assert encoded.ids.tolist() == tokenizer.encode_many([text])[0].tolist()
    assert len(encoded.words) == len(encoded.ids)
    assert tokenizer.lengths[encoded.ids].sum() == len(text.encode())


def test_a_byte_the_vocabulary_lacks_does_not_vanish_into_its_neighbours(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("a\x04b").ids.tolist() != tokenizer.encode("ab").ids.tolist()


def test_the_name_of_a_special_token_is_plain_text(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode("<|end|>").ids) > 1


def test_a_lone_surrogate_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(UnicodeEncodeError):
        tokenizer.encode("half \ud800 a pair")


def test_terms_fold_case_and_the_space_before_a_word(tokenizer: Tokenizer) -> None:
    the, other, space = (tokenizer.encode(text).ids[0] for text in (" the", "The", " "))
    assert tokenizer.terms[the] == tokenizer.terms[other] != 0
    assert tokenizer.terms[space] == 0


def test_the_separator_is_no_token(tokenizer: Tokenizer) -> None:
    assert tokenizer.separator >= tokenizer.size
