"""TEMPORARY until the real one lands."""

import optax


def extra_arguments(optimizer, params):
    return frozenset()


def update(optimizer, wants, grads, opt_state, params, *, value, value_fn, grad_fn):
    return optax.with_extra_args_support(optimizer).update(grads, opt_state, params)


def evaluation_params(opt_state, params):
    return params
