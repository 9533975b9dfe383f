"""The thinking model's chat template: the embedded model's without the system message that it adds by itself.

The block of thinking is opened by the model, or by who prefills it, and not by the template: so a client can ask for
either. A block in an earlier turn is left as it is.
"""

from pathlib import Path

from transformers import AutoTokenizer

from services.model.engines.tokenizer import Tokenizer

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def thinking_tokenizer(anchor: Path) -> Tokenizer:
    """The anchor's tokenizer with this template."""
    tokenizer = AutoTokenizer.from_pretrained(anchor, local_files_only=True)
    tokenizer.chat_template = TEMPLATE
    return Tokenizer(tokenizer)
