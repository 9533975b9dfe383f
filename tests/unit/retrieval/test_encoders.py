"""The encoder as it is pulled, and the order of its callers."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.retrieval.encoders.base import Card, Encoder, describe, load
from services.retrieval.encoders.serial import SerialEncoder
from tests.retrieval_support import HashingEncoder

SENTENCES = ["How do I open a file?", "Reading files with open()", "The cat sleeps in the sun."]


@pytest.fixture(scope="module")
def card(candor_home: Path) -> Card:
    return describe("minilm", candor_home)


@pytest.fixture(scope="module")
def encoder(card: Card) -> Encoder:
    return load(card)


def test_vectors_are_those_of_the_published_model_to_the_precision_of_bf16(card: Card, encoder: Encoder) -> None:
    """Against the same weights in fp32, with padding and a mask, which this encoder avoids."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    batch = AutoTokenizer.from_pretrained(card.folder)(SENTENCES, padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(card.folder, dtype=torch.float32)(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    mean = (hidden * mask).sum(1) / mask.sum(1)
    expected = torch.nn.functional.normalize(mean, dim=1).numpy()
    assert ((encoder.encode(SENTENCES) * expected).sum(axis=1) > 0.9995).all()


def test_vectors_have_length_one_and_their_texts_order(encoder: Encoder) -> None:
    texts = ["word " * length for length in (50, 3, 700, 3, 1)]
    vectors = encoder.encode(texts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for text, vector in zip(texts, vectors, strict=True):
        assert encoder.encode([text])[0] @ vector > 0.999


def test_texts_of_like_meaning_are_nearer_than_others(encoder: Encoder) -> None:
    ask, answer, other = encoder.encode(SENTENCES)
    assert ask @ answer > ask @ other + 0.3


def test_the_end_of_a_passage_of_256_words_is_read(encoder: Encoder) -> None:
    beginning = "word, " * 230  # a token for each word and comma
    one, other = encoder.encode([beginning + "cats purr and sleep", beginning + "ships sail the sea"])
    assert encoder.count([beginning])[0] > 256
    assert one @ other < 0.999


def test_several_threads_give_what_one_gives(card: Card, encoder: Encoder) -> None:
    texts = [sentence * repeated for sentence in SENTENCES for repeated in range(1, 8)]
    done: list[int] = []
    several = load(card, threads=2).encode(texts, done.append)
    assert ((several * encoder.encode(texts)).sum(axis=1) > 0.999).all()
    assert done[-1] == len(texts)


def test_a_vector_made_alone_is_the_same_to_the_last_bit_whatever_comes_with_it(card: Card, encoder: Encoder) -> None:
    texts = [*SENTENCES, "another text of as many words", SENTENCES[0]]
    together = encoder.encode_alone(texts)
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_array_equal(encoder.encode_alone([text])[0], vector)
    np.testing.assert_allclose(together, encoder.encode(texts), atol=0.02)  # bfloat16, where the processor has it
    np.testing.assert_array_equal(SerialEncoder(encoder).encode_alone(texts), together)


def test_the_revision_changes_with_the_weights(tmp_path: Path, card: Card) -> None:
    for part in ("config.json", "1_Pooling/config.json", "tokenizer.json", "model.safetensors"):
        place = tmp_path / "models" / "minilm" / part
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((card.folder / part).read_bytes() if part != "model.safetensors" else b"other")
    assert describe("minilm", tmp_path).revision != card.revision


def test_an_encoder_that_was_not_pulled_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"'minilm'.*candor data pull"):
        describe("minilm", tmp_path)


def test_a_caller_with_few_texts_does_not_wait_for_all_of_a_caller_with_many() -> None:
    turn = threading.Semaphore(0)

    class TurnstileEncoder(HashingEncoder):
        def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
            turn.acquire()
            return super().encode(texts)

    serial = SerialEncoder(TurnstileEncoder())
    ends: list[str] = []
    callers = [
        threading.Thread(
            target=lambda name=name, count=count: serial.encode([name] * count, lambda _: ends.append(name))
        )
        for name, count in (("many", 160), ("few", 1))
    ]
    for caller in callers:
        caller.start()
        time.sleep(0.05)
    for _ in range(11):
        turn.release()
        time.sleep(0.02)
    for caller in callers:
        caller.join()
    assert ends.count("many") == 10
    assert ends[-1] == "many"
