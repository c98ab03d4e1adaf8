"""The audit: measures one danger after the other and puts the report together.

`audit` reads a directory that `xentjax train` made; `audit_subject` takes a model of your own.
"""

import inspect
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xentjax.audit.classifier import Classifier
from xentjax.audit.dangers import CLASSIFIER_DANGERS, LANGUAGE_DANGERS, Danger, choose_dangers
from xentjax.audit.language_model import LanguageModel
from xentjax.audit.privacy_budget import require_accountant
from xentjax.audit.report import Report
from xentjax.audit.section import Section
from xentjax.audit.subjects import (
    classifier_subject,
    count_parameters,
    language_subject,
    model_name,
    split_sizes,
    subject_sha256,
)
from xentjax.jobs.reading import TrainedLanguage, read_run
from xentjax.train.runs import environment

_LONGEST_ERROR = 400


def audit(
    run_path: str | Path,
    *,
    date: str,
    only: Sequence[str] = (),
    quick: bool = False,
    private: bool = False,
    seed: int | None = None,
    draws: int = 0,
    on_progress: Callable[[str, str], None] | None = None,
    raise_errors: bool = False,
) -> Report:
    """Audits the model of a finished run.

    Args:
        run_path: the run's directory, such as runs/digits.
        date: of the report.
        only: keys of the dangers to look for, such as "calibration"; all by default.
        quick: fewer repetitions where models are trained anew; intervals become wider.
        private: train a classifier once more by DP-SGD, and show what that costs and gives.
        seed: which of the run's trainings to audit; the first by default.
        draws: the seed of all that the audit itself draws.
        on_progress: called with a danger's title and what is being done, "" at its beginning.
        raise_errors: let an error of a section pass, in place of a section that is unmeasured.

    Returns:
        The report, for `write_html`, `write_json` and `print_summary`.

    Raises:
        ImportError: if private and jax-privacy is missing.
        ValueError: if the run cannot be read, a danger is not known, or private does not apply.
    """
    started = time.perf_counter()
    path = Path(run_path)
    only = tuple(dict.fromkeys(only))
    tell = on_progress or _say_nothing
    tell("Reading the run", "")
    trained = read_run(path, seed=seed)
    is_language = isinstance(trained, TrainedLanguage)
    subject = language_subject(trained) if is_language else classifier_subject(trained)
    options = {"seed": draws, "model": trained.state.to_model(), "private": private}
    sections = _sections(subject, only, options, quick, tell, raise_errors)
    data, model = trained.corpus if is_language else trained.table, model_name(trained)
    return _report(
        subject,
        sections,
        title=f"An audit of the {model} trained on {data.name}",
        model=model,
        data=data.name,
        data_sha256=data.sha256,
        parameters=trained.state.parameter_count,
        seeds={"of the training": trained.seed, "of the audit": draws},
        date=date,
        made_with=_command(path, only, quick, private, seed, draws),
        started=started,
    )


def audit_subject(
    subject: Classifier | LanguageModel | Any,
    *,
    date: str,
    data: str = "data of your own",
    model: Any = None,
    only: Sequence[str] = (),
    quick: bool = False,
    private: bool = False,
    draws: int = 0,
    on_progress: Callable[[str, str], None] | None = None,
    raise_errors: bool = False,
) -> Report:
    """Audits a model of your own, made with xentjax or not.

    What trains models anew (learning curve, shadow models, wrong labels) calls
    `subject.make_model`, which gives an nnx model; all else asks `subject.predict` and the logits.

    Args:
        subject: the model and its data.
        date: of the report.
        data: what the data is called.
        model: the trained nnx model in evaluation mode; without it the influence of training
            examples and the sizes by layer are not measured.
        only: keys of the dangers to look for, such as "calibration"; all by default.
        quick: fewer repetitions where models are trained anew; intervals become wider.
        private: train a classifier once more by DP-SGD, and show what that costs and gives.
        draws: the seed of all that the audit itself draws.
        on_progress: called with a danger's title and what is being done, "" at its beginning.
        raise_errors: let an error of a section pass, in place of a section that is unmeasured.

    Returns:
        The report, for `write_html`, `write_json` and `print_summary`.

    Raises:
        ImportError: if private and jax-privacy is missing.
        TypeError: if subject is neither a `Classifier` nor a `LanguageModel`.
        ValueError: if a danger is not known, or private does not apply.

    Example:
        A classifier of two rows that says 3 : 1 for the right class, judged on its calibration:

        >>> import numpy as np
        >>> from flax import nnx
        >>> from xentjax.audit import Classifier, Rows, audit_subject
        >>> says = np.log([[3.0, 1.0], [1.0, 3.0]])
        >>> rows = Rows(features=np.eye(2), labels=np.array([0, 1]), logits=says)
        >>> own = Classifier(
        ...     name="coin",
        ...     class_names=("a", "b"),
        ...     train=rows,
        ...     validation=rows,
        ...     test=rows,
        ...     predict=lambda features: 1.1 * features,  # log 3 for the right class
        ...     make_model=lambda key: nnx.Linear(2, 2, rngs=nnx.Rngs(key)),
        ...     steps=1,
        ...     batch_size=1,
        ...     learning_rate=0.1,
        ... )
        >>> report = audit_subject(own, date="2026-01-31", only=["calibration"])
        >>> report.sizes  # two rows a split: far too few for a verdict
        {'training rows': 2, 'validation rows': 2, 'test rows': 2}
        >>> report.sections[0].verdict
        'watch'
    """
    started = time.perf_counter()
    if not isinstance(subject, Classifier | LanguageModel):
        raise TypeError(
            f"subject must be a Classifier or a LanguageModel, got {type(subject).__name__}; a "
            "run's directory is audited by `audit`"
        )
    only = tuple(dict.fromkeys(only))
    options = {"seed": draws, "model": model, "private": private}
    tell = on_progress or _say_nothing
    sections = _sections(subject, only, options, quick, tell, raise_errors)
    network = subject.model if isinstance(subject, LanguageModel) else model
    return _report(
        subject,
        sections,
        title=f"An audit of {subject.name}",
        model="language model" if isinstance(subject, LanguageModel) else "classifier",
        data=data,
        data_sha256=subject_sha256(subject),
        parameters=None if network is None else count_parameters(network),
        seeds={"of the audit": draws},
        date=date,
        made_with="xentjax.audit.audit_subject",
        started=started,
    )


def _sections(
    subject: Classifier | LanguageModel,
    only: Sequence[str],
    options: Mapping[str, Any],
    quick: bool,
    tell: Callable[[str, str], None],
    raise_errors: bool,
) -> list[Section]:
    is_language = isinstance(subject, LanguageModel)
    dangers = choose_dangers(LANGUAGE_DANGERS if is_language else CLASSIFIER_DANGERS, only)
    if options["private"]:
        _check_private(subject.name, dangers, is_language=is_language)
    sections = []
    for danger in dangers:
        tell(danger.title, "")

        def doing(what: str, title: str = danger.title) -> None:
            tell(title, what)

        given = {**options, "progress": doing, **(danger.quick if quick else {})}
        sections.append(measure_danger(danger, subject, given, raise_errors=raise_errors))
    return sections


def _say_nothing(_title: str, _doing: str) -> None:
    pass


def measure_danger(
    danger: Danger, subject: Any, options: Mapping[str, Any], *, raise_errors: bool = False
) -> Section:
    """The section of a danger; one that fails says so and is unmeasured.

    Args:
        danger: which.
        subject: of the kind its section takes.
        options: what a section may take; those that it does not are left out.
        raise_errors: let the error pass.
    """
    try:
        function = danger.load()
        taken = inspect.signature(function).parameters
        return function(subject, **{name: options[name] for name in options if name in taken})
    except Exception as error:
        # One section must not cost the reader the others.
        if raise_errors:
            raise
        return _failed(danger, error)


def _failed(danger: Danger, error: Exception) -> Section:
    said = str(error).strip() or "no message"
    said = said if len(said) <= _LONGEST_ERROR else f"{said[:_LONGEST_ERROR]} …"
    return Section(
        *danger.head,
        verdict="unmeasured",
        finding="This could not be measured: it stopped with an error.",
        unmeasured=[
            f"{type(error).__name__}: {said}",
            f"Mend what the error names, then measure it again with --only {danger.key}.",
        ],
    )


def _check_private(name: str, dangers: Sequence[Danger], *, is_language: bool) -> None:
    """Before the other sections take their minutes."""
    if is_language:
        raise ValueError(
            f"private is for classifiers, and {name} is a language model: DP-SGD of one is not "
            "offered; leave --private out"
        )
    if "privacy" not in [danger.key for danger in dangers]:
        raise ValueError("private belongs to the danger 'privacy': add it to --only")
    require_accountant()


def _command(
    path: Path, only: Sequence[str], quick: bool, private: bool, seed: int | None, draws: int
) -> str:
    words = ["xentjax", "audit", str(path)]
    words += ["--only", *only] if only else []
    words += ["--quick"] if quick else []
    words += ["--private"] if private else []
    words += ["--seed", str(seed)] if seed is not None else []
    words += ["--draws", str(draws)] if draws else []
    return shlex.join(words)


def _report(
    subject: Classifier | LanguageModel,
    sections: Sequence[Section],
    *,
    started: float,
    **known: Any,
) -> Report:
    made_in = environment(seeds=[], data_name=known["data"], data_sha256=known["data_sha256"])
    return Report(
        run=subject.name,
        sizes=split_sizes(subject),
        versions={**made_in["versions"], "Python": made_in["python"]},
        device=f"{made_in['device']['kind']}, {made_in['platform']}",
        seconds=time.perf_counter() - started,
        sections=sections,
        **known,
    )
