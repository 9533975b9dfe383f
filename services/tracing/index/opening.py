"""Opening all that can be searched: the corpora of a folder."""

from __future__ import annotations

from pathlib import Path

from services.tracing.index.corpus import Corpus, read_manifest
from services.tracing.index.foreign import is_foreign, open_foreign
from services.tracing.index.stored import BadSegment, open_segment
from services.tracing.tokenizer import Tokenizer


def open_corpora(root: Path, tokenizer: Tokenizer) -> tuple[list[Corpus], list[str]]:
    """Every corpus under a folder, by id, and a warning for each part that had to be left out.

    A bad segment is left out alone: the rest of its corpus still answers, and the warning names what is missing.
    """
    corpora, warnings = [], []
    for folder in sorted(path for path in root.glob("*") if path.is_dir()):
        if is_foreign(folder):
            try:
                corpora.append(open_foreign(folder, tokenizer))
            except BadSegment as error:
                warnings.append(f"corpus {folder.name}: {error}; left out")
            continue
        manifest = read_manifest(folder)
        if manifest is None:
            warnings.append(f"corpus {folder.name}: no usable corpus.json; left out")
            continue
        segments = []
        for name in manifest.segments:
            try:
                segments.append(open_segment(folder / name, manifest.owner, tokenizer))
            except BadSegment as error:
                warnings.append(f"corpus {folder.name}: {error}; left out")
        if segments or not manifest.segments:  # an owner whose texts are of no kind that is traced
            corpora.append(Corpus(manifest, segments))
    return corpora, warnings
