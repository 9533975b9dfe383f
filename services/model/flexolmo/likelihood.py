"""How likely a model finds each token of a text: what perplexities, answers' likelihoods and ensembles are made of."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from services.model.flexolmo.families import CausalLM

LogProbs = list[NDArray[np.float32]]
"""For each sequence, the log-probabilities (nats) of its tokens but the first: (tokens - 1,)."""


@torch.no_grad()
def target_logprobs(model: CausalLM, sequences: Sequence[Tensor], batch: int = 8) -> LogProbs:
    """The log-probability of each token of each of ``sequences`` (int64, (tokens,)) after those before it.

    The model is used as it is (dtype, experts, eval mode).
    """
    found: dict[int, NDArray[np.float32]] = {}
    # sequences of like length together: less padding to compute
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        # padding is on the right, where no scored token can attend to it
        padded = pad_sequence([sequences[i] for i in chosen], batch_first=True)
        states = model.model(input_ids=padded, use_cache=False).last_hidden_state
        for row, i in enumerate(chosen):
            targets = sequences[i][1:]
            logits = (states[row, : len(targets)] @ model.lm_head.weight.T).float()
            picked = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
            found[i] = (picked - logits.logsumexp(-1)).numpy()
    return [found[i] for i in range(len(sequences))]
