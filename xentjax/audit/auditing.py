"""The audit of a run: reads it, measures one danger after the other, and puts the report together.

Use it on a directory that `xentjax train` made. For models of your own make a `Classifier` or a
`LanguageModel`, and call the functions of `audit.sections` with it.
"""

import inspect
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xentjax.audit.dangers import CLASSIFIER_DANGERS, LANGUAGE_DANGERS, Danger, choose_dangers
from xentjax.audit.privacy_budget import require_accountant
from xentjax.audit.report import Report
from xentjax.audit.section import Section
from xentjax.audit.subjects import classifier_subject, language_subject, model_name
from xentjax.jobs.reading import TrainedClassifier, TrainedLanguage, read_run
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
    tell = on_progress or (lambda _title, _doing: None)
    tell("Reading the run", "")
    trained = read_run(path, seed=seed)
    is_language = isinstance(trained, TrainedLanguage)
    dangers = choose_dangers(LANGUAGE_DANGERS if is_language else CLASSIFIER_DANGERS, only)
    if private:
        _check_private(path, dangers, is_language=is_language)
    subject = language_subject(trained) if is_language else classifier_subject(trained)
    options = {"seed": draws, "model": trained.state.to_model(), "private": private}
    sections = []
    for danger in dangers:
        tell(danger.title, "")

        def doing(what: str, title: str = danger.title) -> None:
            tell(title, what)

        given = {**options, "progress": doing, **(danger.quick if quick else {})}
        sections.append(measure_danger(danger, subject, given, raise_errors=raise_errors))
    return _report(
        trained,
        sections,
        date=date,
        draws=draws,
        made_with=_command(path, only, quick, private, seed, draws),
        seconds=time.perf_counter() - started,
    )


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


def _check_private(path: Path, dangers: Sequence[Danger], *, is_language: bool) -> None:
    """Before the other sections take their minutes."""
    if is_language:
        raise ValueError(
            f"private is for classifiers, and {path} is a language model: DP-SGD of one is not "
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
    trained: TrainedClassifier | TrainedLanguage,
    sections: Sequence[Section],
    *,
    date: str,
    draws: int,
    made_with: str,
    seconds: float,
) -> Report:
    if isinstance(trained, TrainedLanguage):
        data, unit = trained.corpus, "tokens"
        lengths = {name: len(part) for name, part in data.tokens.items()}
    else:
        data, unit = trained.table, "rows"
        lengths = {name: len(part["labels"]) for name, part in trained.parts.items()}
    made_in = environment(seeds=[trained.seed], data_name=data.name, data_sha256=data.sha256)
    model = model_name(trained)
    return Report(
        title=f"An audit of the {model} trained on {data.name}",
        run=trained.run.name,
        model=model,
        data=data.name,
        data_sha256=data.sha256,
        sizes={
            f"{'training' if name == 'train' else name} {unit}": n for name, n in lengths.items()
        },
        parameters=trained.state.parameter_count,
        versions={**made_in["versions"], "Python": made_in["python"]},
        device=f"{made_in['device']['kind']}, {made_in['platform']}",
        seeds={"of the training": trained.seed, "of the audit": draws},
        date=date,
        seconds=seconds,
        made_with=made_with,
        sections=sections,
    )
