"""The thinking model as the model service serves it: the pulled dense model with the committed adapter."""

import shutil
import tempfile
from pathlib import Path

from safetensors.torch import save_file

from services.model.flexolmo.build import ensure, sha256_of
from services.model.flexolmo.merge import merge
from services.model.thinking.adapter import applied, read
from services.model.thinking.template import TEMPLATE

ADAPTER = Path(__file__).with_name("arithmetic.safetensors")
"""The committed adapter."""
NAME = "candor-135m-thinking"
_FORM = 1
"""Of what is written; another one is built anew."""


def ensure_thinking(home: Path, adapter: Path = ADAPTER) -> Path:
    """Build ``home/models/candor-135m-thinking`` unless it is there and made of ``adapter``; returns it.

    Takes some seconds and 270 MB. It has the public expert alone: the owners' experts are of the model as it was
    before. Raises FileNotFoundError when the dense model was not pulled, WrongAnchor when it is another one.
    """
    made_of = {"adapter": sha256_of(adapter), "form": _FORM}
    return ensure(home, NAME, made_of, lambda anchor, out: write_thinking(anchor, adapter, out))


def write_thinking(anchor: Path, adapter: Path, out: Path) -> Path:
    """Write the model that ``adapter`` makes of the checkpoint ``anchor`` to ``out``; returns ``out``.

    The folder appears whole or not at all. Raises what `adapter.read` does.
    """
    tensors = applied(anchor, read(adapter, anchor))
    out.parent.mkdir(parents=True, exist_ok=True)
    # not in /tmp, which may be of memory
    with tempfile.TemporaryDirectory(prefix=f"{out.name}.", suffix=".part", dir=out.parent) as folder:
        dense = Path(folder)
        for file in anchor.iterdir():
            if file.suffix != ".safetensors":
                shutil.copy2(file, dense / file.name)
        save_file(tensors, dense / "model.safetensors", metadata={"format": "pt"})
        (dense / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
        return merge(dense, [], out)
