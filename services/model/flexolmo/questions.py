"""Gold questions of the pulled sets, as a model is asked them, and how likely it finds the right answers.

Small models are scored by likelihood, not by what they write: which of several answers they find likeliest (for its
length), or how many bits a token of the right answer costs them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, PreTrainedTokenizerBase

from services.model.flexolmo.families import CausalLM
from services.model.flexolmo.likelihood import LogProbs

_OPTIONS = 4
_OPENING = 500
"""Characters of a paper (its title and most of its abstract) that go before a question about it."""
# The gateway's own words for a question without and with a passage, so that what is measured is what is served.
_ASK = "{question}\nGive a short answer."
_READ = "{question}\n\nContext:\n{passage}\n\nQuestion: {question}\nGive a short answer, copied from the context."


@dataclass(frozen=True)
class QuestionSet:
    """How the questions of one set are asked."""

    name: str
    reads: Literal["nothing", "opening", "passage"]
    """What stands before the question: nothing (closed book), the opening of its document, or all of it."""
    options: Literal["other answers", "yes or no", "none"]
    """What the right answer competes with. The pulled sets keep no wrong options: `other answers` are the right ones
    of three other questions of the set, drawn by a seed."""
    heldout: bool = False
    """Only questions whose document no training read."""


SETS = (
    QuestionSet("medmcqa", "nothing", "other answers"),
    QuestionSet("sciq", "nothing", "other answers"),
    QuestionSet("qasper", "opening", "yes or no"),
    QuestionSet("squad", "passage", "none", heldout=True),
)


@dataclass(frozen=True)
class Item:
    """A question as tokens."""

    id: str
    prompt: Tensor
    """int64, (tokens,): the whole conversation up to where the answer begins."""
    options: list[Tensor]
    """int64, each (tokens,); the first is the right one."""
    characters: list[int]
    """The length of each option."""


def read_items(
    kind: QuestionSet, home: Path, tokenizer: PreTrainedTokenizerBase, *, count: int, seed: int = 0
) -> list[Item]:
    """``count`` questions of a set (fewer if there are fewer), drawn by ``seed`` from those that can be asked alone.

    ``home`` holds the pulled ``questions`` and ``texts``. Raises FileNotFoundError when they were not pulled.
    """
    with (home / "questions" / f"{kind.name}.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    documents = _documents(home / "texts" / rows[0]["owner"])
    if kind.reads == "nothing":
        rows = [row for row in rows if row["standalone"]]
    if kind.heldout:
        rows = [row for row in rows if documents[row["document"]]["split"] == "heldout"]
    random = np.random.default_rng(seed)
    chosen = [rows[i] for i in random.permutation(len(rows))[:count]]
    wrong = _wrong_answers(kind, rows, random)
    return [_item(row, [row["answers"][0], *wrong(row)], documents, kind, tokenizer) for row in chosen]


@torch.no_grad()
def answer_logprobs(model: CausalLM, items: Sequence[Item]) -> LogProbs:
    """The log-probability of each token of every option of every item, in order: (option's tokens,) each."""
    found: LogProbs = []
    for item in items:
        # the prompt is computed once, for all options but its last token
        cache = DynamicCache(config=model.config)
        model.model(input_ids=item.prompt[None, :-1], past_key_values=cache, use_cache=True)
        cache.batch_repeat_interleave(len(item.options))
        inputs = [torch.cat([item.prompt[-1:], option[:-1]]) for option in item.options]
        # padding is on the right, where no scored token can attend to it
        padded = pad_sequence(inputs, batch_first=True)
        states = model.model(input_ids=padded, past_key_values=cache, use_cache=True).last_hidden_state
        for row, option in enumerate(item.options):
            logits = (states[row, : len(option)] @ model.lm_head.weight.T).float()
            picked = logits.gather(-1, option.unsqueeze(-1)).squeeze(-1)
            found.append((picked - logits.logsumexp(-1)).numpy())
    return found


def right(items: Sequence[Item], logprobs: LogProbs) -> NDArray[np.float64]:
    """(items,): 1 where the right answer is the likeliest for its length in characters, else 0."""
    place, hits = 0, np.zeros(len(items))
    for i, item in enumerate(items):
        each = [logprobs[place + j].sum() / length for j, length in enumerate(item.characters)]
        hits[i], place = float(np.argmax(each) == 0), place + len(each)
    return hits


def gold(items: Sequence[Item], logprobs: LogProbs) -> LogProbs:
    """The log-probabilities of the right answers alone."""
    starts = np.cumsum([0, *(len(item.options) for item in items[:-1])])
    return [logprobs[start] for start in starts]


def _documents(folder: Path) -> dict[str, dict[str, Any]]:
    documents: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("*.jsonl")):
        with file.open(encoding="utf-8") as lines:
            documents |= {row["id"]: row for row in map(json.loads, lines)}
    return documents


def _wrong_answers(
    kind: QuestionSet, rows: Sequence[Mapping[str, Any]], random: np.random.Generator
) -> Callable[[Mapping[str, Any]], list[str]]:
    answers = sorted({row["answers"][0] for row in rows})

    def draw(row: Mapping[str, Any]) -> list[str]:
        mine = {answer.casefold() for answer in row["answers"]}
        if kind.options == "none":
            return []
        if kind.options == "yes or no":
            return [answer for answer in ("yes", "no") if answer not in mine]
        others = [answer for answer in answers if answer.casefold() not in mine]
        return [others[i] for i in random.choice(len(others), _OPTIONS - 1, replace=False)]

    return draw


def _item(
    row: Mapping[str, Any],
    options: Sequence[str],
    documents: Mapping[str, Mapping[str, Any]],
    kind: QuestionSet,
    tokenizer: PreTrainedTokenizerBase,
) -> Item:
    asked = _ASK.format(question=row["question"])
    if kind.reads != "nothing":
        text = documents[row["document"]]["text"]
        passage = text[:_OPENING] if kind.reads == "opening" else text
        asked = _READ.format(question=row["question"], passage=passage)
        if kind.options == "yes or no":
            asked = asked.replace("Give a short answer, copied from the context.", "Answer yes or no.")
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": asked}], add_generation_prompt=True, tokenize=False
    )
    tokens = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, *options)]
    first, *rest = [torch.tensor(ids, dtype=torch.int64) for ids in tokens]
    return Item(row["id"], first, rest, [len(option) for option in options])
