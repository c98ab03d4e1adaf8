"""Cases of the losses of sequences."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

from bench.cases.case import LossCase, normal
from xentjax.losses.ctc import ctc_loss


def spoken(
    rng: np.random.Generator, n: int, classes: int, frames: int | None = None
) -> tuple[np.ndarray, ...]:
    """Logits [n, T, C], labels [n, L] without the blank 0, and a length of each for every row."""
    frames = min(200, classes**2 // 2) if frames is None else frames
    letters = max(2, frames // 5)
    labels = rng.integers(1, classes, (n, letters), dtype=np.int32)
    # Twice as many frames as labels always suffice.
    frame_lengths = rng.integers(2 * letters, frames, n, dtype=np.int32, endpoint=True)
    label_lengths = rng.integers(letters // 2, letters, n, dtype=np.int32, endpoint=True)
    return normal(rng, n, frames, classes), labels, frame_lengths, label_lengths


def _optax_ctc(logits: Any, labels: Any, frame_lengths: Any, label_lengths: Any) -> Any:
    beyond = lambda x, lengths: jnp.arange(x.shape[1])[None] >= lengths[:, None]  # noqa: E731
    logit_paddings = beyond(logits, frame_lengths).astype(logits.dtype)
    label_paddings = beyond(labels, label_lengths).astype(logits.dtype)
    return optax.ctc_loss(logits, logit_paddings, labels, label_paddings)


def _torch_ctc(logits: Any, labels: Any, frame_lengths: Any, label_lengths: Any) -> Any:
    import torch  # pyright: ignore[reportMissingImports] (an extra; called where it is there)

    log_probs = torch.log_softmax(logits, -1).transpose(0, 1)
    return torch.nn.functional.ctc_loss(
        log_probs, labels, frame_lengths, label_lengths, reduction="none"
    )


CASES: dict[str, LossCase] = {
    "CTC": LossCase(
        ctc_loss, spoken, {"event_dims": 2}, optax=_optax_ctc, torch=_torch_ctc, size=(16, 64)
    ),
}
