"""A corpus that is somebody else's index: `tracing/CORPUS/infini-gram.json` says where its files are, and whose."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from services.tracing.index.corpus import Corpus, CorpusManifest
from services.tracing.index.infini_gram import open_shard, shards
from services.tracing.index.stored import BadSegment
from services.tracing.tokenizer import Tokenizer
from shared.contracts.base import OwnerId

MANIFEST = "infini-gram.json"


class Foreign(BaseModel):
    """Whose text it is, the folder of the files, and the tokenizer.json it was made with: without, the service's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    owner: OwnerId
    public: bool
    licence: str
    directory: Path
    tokenizer: Path | None = None


def is_foreign(folder: Path) -> bool:
    """Whether a folder of corpora holds such a corpus."""
    return (folder / MANIFEST).exists()


def open_foreign(folder: Path, default: Tokenizer) -> Corpus:
    """Open all shards. Raises BadSegment: what is missing of an index that is not ours to build again is all of it."""
    try:
        said = Foreign.model_validate_json((folder / MANIFEST).read_bytes())
        tokenizer = Tokenizer(said.tokenizer) if said.tokenizer else default
    except (OSError, ValidationError, ValueError) as error:
        detail = str(error).replace("\n", "; ")
        raise BadSegment(f"{MANIFEST} cannot be used: {detail}") from error
    numbers = shards(said.directory)
    if not numbers:
        raise BadSegment(f"there is no table.0 in {said.directory}: name the folder of an infini-gram index (v4)")
    segments = [open_shard(said.directory, number, said.owner, said.licence, tokenizer) for number in numbers]
    manifest = CorpusManifest(
        id=folder.name,
        owner=said.owner,
        public=said.public,
        licence=said.licence,
        tokenizer=tokenizer.fingerprint,
        input="",
        skipped=0,
        segments=[segment.name for segment in segments],
    )
    return Corpus(manifest, segments)
