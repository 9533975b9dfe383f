"""What the compared models are given: every owner's held-out text, and the gold questions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from transformers import AutoTokenizer

from services.model.flexolmo.families import CausalLM
from services.model.flexolmo.heldout import Heldout, read_heldout
from services.model.flexolmo.likelihood import LogProbs, target_logprobs
from services.model.flexolmo.questions import SETS, Item, answer_logprobs, read_items


@dataclass(frozen=True)
class Task:
    """A held-out text or a set of questions."""

    name: str
    text: Heldout | None
    items: list[Item]

    def logprobs(self, model: CausalLM) -> LogProbs:
        """What the model gives each token to be scored."""
        return answer_logprobs(model, self.items) if self.text is None else target_logprobs(model, self.text.windows)

    def tokens(self) -> list[Tensor]:
        """All that the result depends on, but for the model."""
        return self.text.windows if self.text else [t for item in self.items for t in (item.prompt, *item.options)]


def tasks(texts: Sequence[Path], home: Path, anchor: Path, *, windows: int, questions: int) -> list[Task]:
    """Each folder's held-out text, one window a document, and the question sets that were pulled."""
    tokenizer = AutoTokenizer.from_pretrained(anchor)
    held = [read_heldout(folder, tokenizer, windows=windows, per_document=1) for folder in texts]
    asked = [
        Task(kind.name, None, read_items(kind, home, tokenizer, count=questions))
        for kind in SETS
        if questions and (home / "questions" / f"{kind.name}.jsonl").exists()
    ]
    return [*(Task(text.owner, text, []) for text in held), *asked]
