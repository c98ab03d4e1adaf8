"""The contract every loss here keeps, as a list of clauses, and the call that checks it.

Use it on a loss of your own before you train with it: three lines find a wrong gradient, a NaN
behind a mask or an overflow that a training run would find after a day.
"""

import difflib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax

from xentjax.testing.derivatives import gradient, hessian_finite, jvp_equals_vjp
from xentjax.testing.masked_class import masked_class
from xentjax.testing.masking import masked_equals_sliced, masked_mean
from xentjax.testing.precision import finite_at_extremes, low_precision, shapes_and_dtypes
from xentjax.testing.report import LossContractReport
from xentjax.testing.subject import Subject, read_subject
from xentjax.testing.transforms import (
    jit_equals_eager,
    sharded_equals_single,
    traced_once,
    transforms,
    vmap_equals_loop,
)
from xentjax.testing.weighting import weighted_mean, weights

# In the order they run: a clause may rely on what the ones before it have shown.
_CLAUSES: tuple[Callable[[Subject], str | None], ...] = (
    shapes_and_dtypes,
    gradient,
    jit_equals_eager,
    vmap_equals_loop,
    jvp_equals_vjp,
    hessian_finite,
    masked_equals_sliced,
    masked_mean,
    weights,
    weighted_mean,
    finite_at_extremes,
    masked_class,
    low_precision,
    traced_once,
    transforms,
    sharded_equals_single,
)
CLAUSES: tuple[str, ...] = tuple(clause.__name__ for clause in _CLAUSES)


def assert_loss_contract(
    loss: Callable[..., Any],
    example_inputs: Any,
    *,
    argnums: tuple[int, ...] = (0,),
    event_dims: int = 1,
    keywords: Collection[str] | None = None,
    clauses: Collection[str] | None = None,
    leave_out: Mapping[str, str] | None = None,
    seed: int = 0,
    devices: Collection[jax.Device] | None = None,
) -> LossContractReport:
    """Checks a loss of the (logits, labels, …) kind, yours or ours, clause by clause.

    The loss is called as loss(*example_inputs) and gives one loss an example, in at least
    float32. Bind its options with functools.partial. The clauses, in the order they run:

    * shapes_and_dtypes: one loss an example; float32 from 16 and 32 bits, float64 from 64.
    * gradient: equals central differences in float64 to 1e-7, first and second order.
    * jit_equals_eager, vmap_equals_loop: losses and gradient, to a few roundings of float32.
    * jvp_equals_vjp: ⟨u, J v⟩ = ⟨v, Jᵀ u⟩ in float64.
    * hessian_finite: finite and equal in all orders of modes, at the example and at zero logits.
    * masked_equals_sliced: under `where`, kept examples are as in the slice and masked ones are 0
      in value and gradient, even where their logits are NaN or infinite.
    * masked_mean: the mean under `where` is the mean of the slice; of nothing it is 0.
    * weights: losses under weights w are w times the losses, in value and gradient.
    * weighted_mean: the mean under weights w is Σ w·loss / Σ w; leave it out, with masked_mean,
      where class weights enter the mean.
    * finite_at_extremes: losses and gradient at logits of ±1e4.
    * masked_class: a class at −inf that is not the label leaves the losses, gradient, jvp and
      Hessian finite, and gets no gradient.
    * low_precision: 16-bit logits give the loss float64 finds on the same logits to float32's
      rounding, and the gradient in their own dtype to one rounding of it.
    * traced_once: inputs of the same shapes are traced once.
    * transforms: checkpoint, scan, linearize, jacfwd and jacrev change nothing.
    * sharded_equals_single: nor does shard_map over the examples, given two devices.

    It does NOT check that the formula is the one you meant (a constant offset or factor in value
    and gradient passes: compare with a reference), reduction="sum", `where` and `weights`
    together, weights that sum to 0 or are negative, gradients with respect to the weights, labels
    out of range or ignored, other options than those bound, training, speed or memory.

    Args:
      loss: the callable. `where`, `weights` (one an example) and `reduction` are examined where
        its signature names them.
      example_inputs: a tuple of arrays, each with the examples on its leading axis: two or
        more, better five. Keep it small, for the Hessian is formed: some tens of logits. A loss
        with kinks should be smooth at the example and at zero logits.
      argnums: positions that are differentiated; the first of them holds the logits.
      event_dims: trailing axes of the logits that one example consumes: 1 for a class axis (the
        last), 2 for a sequence, 0 for an elementwise loss.
      keywords: which of "where", "weights" and "reduction" the loss takes. None reads its
        signature, in which **options counts as taking all three.
      clauses: names of the clauses to run, None for all.
      leave_out: clauses that do not hold for this loss, each with the reason, for the report.
      seed: of the random directions and weights.
      devices: for sharded_equals_single; None means jax.devices().

    Returns:
      The clauses kept, and those left out with the reason.

    Raises:
      LossContractError: a clause is broken; the message says which, at which input, with what
        was got and wanted. It is an AssertionError.
      TypeError: example_inputs is not a tuple, or a differentiated input is not floating point.
      ValueError: a shape, a position or the name of a clause does not fit; or the loss, called
        once on the example inputs, raises or is not finite there (a label it cannot take).

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from xentjax.testing import assert_loss_contract
      >>> def brier(logits, labels):
      ...     p = jax.nn.softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))
      ...     return jnp.sum((p - jax.nn.one_hot(labels, p.shape[-1], dtype=p.dtype)) ** 2, -1)
      >>> logits = jnp.array([[2.0, -1.0, 0.5], [0.0, 1.0, -2.0], [1.0, 1.5, 0.3]])
      >>> report = assert_loss_contract(brier, (logits, jnp.array([0, 2, 1])), devices=())
      >>> print(report)
      shapes_and_dtypes      kept
      gradient               kept
      jit_equals_eager       kept
      vmap_equals_loop       kept
      jvp_equals_vjp         kept
      hessian_finite         kept
      masked_equals_sliced   left out: the loss takes no `where`
      masked_mean            left out: the loss takes no `reduction` and no `where`
      weights                left out: the loss takes no `weights`
      weighted_mean          left out: the loss takes no `reduction` and no `weights`
      finite_at_extremes     kept
      masked_class           kept
      low_precision          kept
      traced_once            kept
      transforms             kept
      sharded_equals_single  left out: 0 device(s) cannot share 3 examples evenly
    """
    excused = dict(leave_out or {})
    chosen = set(CLAUSES if clauses is None else clauses)
    _check_names("clauses", chosen)
    _check_names("leave_out", excused)
    subject = read_subject(
        loss,
        example_inputs,
        argnums=argnums,
        event_dims=event_dims,
        keywords=keywords,
        seed=seed,
        devices=devices,
    )
    outcomes: list[tuple[str, str | None]] = []
    for clause in _CLAUSES:
        name = clause.__name__
        reason = excused.get(name) or ("not asked for" if name not in chosen else clause(subject))
        outcomes.append((name, reason))
    return LossContractReport(tuple(outcomes))


def _check_names(argument: str, names: Collection[str]) -> None:
    for name in names:
        if name not in CLAUSES:
            close = difflib.get_close_matches(str(name), CLAUSES, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the clauses are {CLAUSES}"
            raise ValueError(f"{argument} names an unknown clause {name!r}; {hint}")
