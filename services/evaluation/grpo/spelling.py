"""The tokenizer of the small models: digits and signs one by one, and a token for each of the words that they know."""

from __future__ import annotations

from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

END, PADDING, UNKNOWN = "<end>", "<pad>", "<?>"
_WORDS = ("The answer is ", "```python\n", "```\n", "\\boxed{")
_SIGNS = "0123456789+=}.\n"


def spelling() -> PreTrainedTokenizerFast:
    """Text that the models know comes back as it was; what they do not know is `<?>`."""
    vocabulary = {token: number for number, token in enumerate((PADDING, END, UNKNOWN, *_WORDS, *_SIGNS))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=UNKNOWN))
    # not a dot: a newline is a sign like any other
    split = Regex(r"The answer is |```python\n|```\n|\\boxed\{|[\s\S]")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(split, behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PADDING,
        unk_token=UNKNOWN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
