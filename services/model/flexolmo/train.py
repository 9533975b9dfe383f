"""Train an owner's expert by FlexOlmo's recipe: on the owner's machine, from the owner's text alone.

The public experts and everything shared stay frozen bit for bit. Trained are the delta of the owner's FFN, its
router row, and a non-positive bias on the owner's logit that helps the training and is then thrown away.
Next-token loss plus a small z-loss on the router; no load-balance loss, no weight decay.
Source: FlexOlmo (Shi et al. 2025), section 3.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import AutoTokenizer

from services.model.flexolmo import checkpoint
from services.model.flexolmo.anchor import fingerprint, load_anchor
from services.model.flexolmo.blocks import OwnerBlock, attach_expert
from services.model.flexolmo.corpus import Blocks, Texts, data_hash, read_documents
from services.model.flexolmo.families import CausalLM
from services.model.flexolmo.optimise import Progress, Run
from services.model.flexolmo.precision import compute_dtype
from services.model.flexolmo.processes import ALONE, Processes
from services.model.flexolmo.router import domain_embedding, initialise, router_rows
from services.model.flexolmo.training import DEFAULTS, Settings, Training, check_owner


@dataclass(frozen=True)
class Trained:
    """A trained expert, not yet a file."""

    model: CausalLM
    """The anchor with the owner's blocks in it."""
    layers: list[OwnerBlock]
    state: checkpoint.State

    @property
    def training(self) -> Training:
        """Whose expert it is, and what it was trained from."""
        return self.state.training

    @property
    def losses(self) -> list[float]:
        """Of every step, in nats a token."""
        return self.state.losses


def train(
    owner: str,
    *,
    anchor: Path,
    texts: Texts,
    public: Texts,
    resume: Path,
    licence: str | None = None,
    settings: Settings = DEFAULTS,
    stage: Callable[[str], None] = lambda _: None,
    progress: Callable[[Progress], None] = lambda _: None,
    processes: Processes = ALONE,
) -> Trained:
    """Train ``owner``'s expert on the training split of ``texts``; ``public`` only positions its router row.

    ``anchor`` is a checkpoint of a family in `families`. ``licence`` is that of the expert; by default those of the
    documents. The file ``resume`` is written before the first step and every ten steps; when it exists, training
    goes on from it and ends with the weights an uninterrupted run would have had. ``stage`` is told what is done
    before the first step, each part of which may take minutes, ``progress`` of every step. Raises ValueError for
    an owner's id that cannot be one, UnsupportedAnchor, BadText, FileNotFoundError for missing text, and
    OtherTraining when ``resume`` is not of this training.
    """
    check_owner(owner)
    stage("reading the text")
    documents, others = read_documents(texts, "train"), read_documents(public, "train")
    stage("hashing the anchor's weights")
    anchor_print = fingerprint(anchor)
    stage("loading the anchor")
    model = load_anchor(anchor, compute_dtype()).to(processes.device)  # type: ignore[arg-type]
    tokenizer = AutoTokenizer.from_pretrained(anchor)
    stage(f"tokenising {len(documents):,} documents")
    blocks = Blocks(documents, tokenizer, settings.block_tokens, settings.seed)
    training = Training(
        owner=owner,
        licence=licence or " AND ".join(sorted({document.licence or "unstated" for document in documents})),
        architecture=model.config.model_type,
        anchor=anchor_print,
        base=(0,) * model.config.num_hidden_layers,
        settings=settings,
        documents=len(documents),
        text_tokens=blocks.tokens - len(documents),
        data_sha256=data_hash(documents),
        public_sha256=data_hash(others),
    )

    state = checkpoint.load(resume, training)
    rows = None
    if state is None:
        stage(f"tokenising {len(others):,} public documents")
        elsewhere = Blocks(others, tokenizer, settings.block_tokens, settings.seed + 1)
        count = max(1, settings.domain_blocks // settings.blocks)
        stage(f"embedding {count * settings.blocks} blocks of the text, for the router's start")
        here = domain_embedding(model, blocks.batches(count, settings.blocks))
        stage(f"embedding {count * settings.blocks} blocks of public text")
        rows = router_rows(here, domain_embedding(model, elsewhere.batches(count, settings.blocks)))
        training = replace(training, base=here.favourite)
    else:
        stage(f"going on after step {len(state.losses)} of {settings.steps}, from {resume}")
        training = replace(training, base=state.training.base)
    layers = attach_expert(model, settings.rank, settings.seed, training.base)
    if rows is not None:
        initialise(layers, rows)

    run = Run(model, layers, training, state, processes)
    if state is None:
        run.save(resume)
    run.to_the_end(blocks, progress, resume)
    return Trained(model, layers, run.state())
