"""The training loop of a torch user, for a model of any inputs."""

from collections.abc import Callable

import numpy as np
import torch  # pyright: ignore[reportMissingImports] (an extra; imported by those who asked for it)
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]


def make_torch_run(
    model: nn.Module,
    inputs: np.ndarray,
    labels: np.ndarray,
    *,
    learning_rate: float,
    betas: tuple[float, float],
    weight_decay: float,
) -> Callable[[], list[float]]:
    """AdamW with torch's defaults, gradients set to None, one optimizer step a batch.

    Args:
        model: trained in place; gives logits [..., C].
        inputs: [steps, B, …], as the model takes them.
        labels: [steps, B, …], class indices of the logits.
        learning_rate: constant.
        betas: of AdamW.
        weight_decay: on every parameter, as optax does without a mask.

    Returns:
        `() → losses` of all the steps; the next call goes on from there.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=learning_rate, betas=betas, weight_decay=weight_decay
    )
    batches = list(zip(torch.from_numpy(inputs), torch.from_numpy(labels), strict=True))

    def run() -> list[float]:
        losses = []
        for batch, targets in batches:
            logits = model(batch)
            loss = functional.cross_entropy(logits.flatten(0, -2), targets.flatten())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses).tolist()

    return run
