"""The job behind `xentjax sweep digits`: many MLPs on labelled rows, trained together."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import nnx

from xentjax import optim
from xentjax.jobs.config import TabularConfig
from xentjax.jobs.sweep_config import SweepConfig
from xentjax.jobs.tabular import load_table, split_table, tabular_task
from xentjax.models import MLP, MLPConfig
from xentjax.models.dropout import set_dropout_rate
from xentjax.search.halving import Halving
from xentjax.search.space import Choice, LogUniform, Uniform
from xentjax.search.sweep_result import SweepResult, SweepRow
from xentjax.search.sweeping import sweep
from xentjax.search.trials import Trial
from xentjax.train.objectives import cross_entropy
from xentjax.train.runs import Run, environment
from xentjax.train.totals import Totals

_MADE_WITH = 0.5  # any rate above 0; each trial sets its own


def sweep_tabular(
    config: SweepConfig,
    run: Run,
    *,
    on_rows: Callable[[Sequence[SweepRow]], None] | None = None,
) -> tuple[SweepResult, Totals | None]:
    """Train every configuration, rank them, and score the best on the test rows.

    Args:
        config: the options.
        run: where to write config.json, environment.json and sweep.json.
        on_rows: called with the rows of trials as they are trained.

    Returns:
        The result, and the test totals of the best trial; None where all diverged.
    """
    rows_config = TabularConfig(
        dataset=config.dataset, split_seed=config.split_seed, batch_size=config.batch_size
    )
    table = load_table(rows_config)
    run.write_json("config.json", dataclasses.asdict(config))
    run.write_json(
        "environment.json",
        environment(seeds=config.seeds, data_name=table.name, data_sha256=table.sha256),
    )
    parts = split_table(table, config.split_seed)
    result = sweep(
        _trial_of(table.features.shape[1], len(table.class_names), config.steps),
        parts["train"],
        _space(config),
        validation=parts["validation"],
        steps=config.steps,
        batch_size=config.batch_size,
        trials=config.trials if config.search == "random" else None,
        seed=config.seed,
        halving=Halving(3, max(1, config.steps // 9)) if config.halving else None,
        memory_budget=None if config.memory_mb is None else int(config.memory_mb * 1e6),
        on_rows=on_rows,
    )
    result.write_json(run.path / "sweep.json")
    if result.best_state is None:
        return result, None
    return result, tabular_task(rows_config, table).score(result.best_state, "test")


def _trial_of(features: int, classes: int, steps: int) -> Callable[[Any], Trial]:
    def trial(h: Any) -> Trial:
        width = h["width"]
        shape = MLPConfig(
            in_features=features,
            hidden_features=(width, width),
            classes=classes,
            activation=h["activation"],
            dropout=_MADE_WITH,
        )
        model = MLP(shape, rngs=nnx.Rngs(jax.random.key(h["seed"])))
        rate = optim.schedule("warmup_cosine", h["learning_rate"], steps=steps)
        decays = "weight_decay" in optim.optimizer_options(h["optimizer"])
        given = {"weight_decay": h["weight_decay"]} if decays else {}
        return Trial(
            set_dropout_rate(model, h["dropout"]),
            optim.optimizer(h["optimizer"], rate, **given),
            cross_entropy(label_smoothing=h["label_smoothing"]),
            evaluation=cross_entropy(),
        )

    return trial


def _space(config: SweepConfig) -> dict[str, Any]:
    between = {"learning_rate": LogUniform, "weight_decay": LogUniform}
    space: dict[str, Any] = {}
    for name in ("learning_rate", "weight_decay", "dropout", "label_smoothing"):
        values = getattr(config, name)
        if config.search == "random" and len(set(values)) == 2:
            space[name] = between.get(name, Uniform)(min(values), max(values))
        else:
            space[name] = Choice(tuple(dict.fromkeys(values)))
    return space | {
        "seed": Choice(config.seeds),
        "width": Choice(config.widths, static=True),
        "activation": Choice(config.activations),
        "optimizer": Choice(config.optimizers),
    }
