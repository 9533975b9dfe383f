"""The chunked loss against torch's cross-entropy."""

from pathlib import Path

import torch
import torch.nn.functional as F

from services.model.flexolmo import loss
from services.model.flexolmo.anchor import load_anchor
from services.model.flexolmo.blocks import attach_expert, trained_parameters


def test_loss_and_gradients_are_those_of_cross_entropy(anchor: Path) -> None:
    model = load_anchor(anchor, torch.float32)
    parameters = list(trained_parameters(attach_expert(model, rank=2, seed=0)))
    # More than one chunk, and a last one that is not full.
    tokens = torch.randint(0, 257, (5, 41), generator=torch.Generator().manual_seed(0))
    assert tokens[:, 1:].numel() % loss._ROWS
    assert tokens.numel() > loss._ROWS

    ours = loss.next_token_loss(model, tokens)
    gradients = torch.autograd.grad(ours * 3, parameters, allow_unused=True)
    logits = model(input_ids=tokens).logits[:, :-1]
    truth = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    expected = torch.autograd.grad(truth * 3, parameters, allow_unused=True)

    torch.testing.assert_close(ours, truth)
    for mine, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-4)


def test_only_what_is_learnt_counts_and_padding_changes_nothing(anchor: Path) -> None:
    model = load_anchor(anchor, torch.float32)
    parameters = list(trained_parameters(attach_expert(model, rank=2, seed=0)))
    lengths = (17, 30)
    tokens = torch.randint(1, 257, (2, 30), generator=torch.Generator().manual_seed(0))
    learnt = torch.zeros(2, 30).bool()
    rows = []
    for row, length in enumerate(lengths):
        learnt[row, 9:length] = True
        logits = model(input_ids=tokens[row : row + 1, :length]).logits[0, 8:-1]
        rows.append(F.cross_entropy(logits, tokens[row, 9:length], reduction="sum"))
    truth = sum(rows[1:], rows[0]) / int(learnt.sum())
    expected = torch.autograd.grad(truth, parameters, allow_unused=True)
    tokens[0, 17:] = 0
    ours = loss.next_token_loss(model, tokens, learnt)
    gradients = torch.autograd.grad(ours, parameters, allow_unused=True)
    torch.testing.assert_close(ours, truth)
    for mine, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-4)
