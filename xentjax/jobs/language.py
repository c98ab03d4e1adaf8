"""The job behind `xentjax train gpt`: a small GPT on a text, compared with what compressors do.

The text is cut in order, so that no held-out passage has its neighbour in the training text, and
every held-out token is predicted exactly once; those of the test from at least half a window of
context.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import nnx
from rich.console import Console

from xentjax.data import token_batches
from xentjax.jobs.baselines import Compression, compress_held_out, unigram_nats
from xentjax.jobs.canaries import plant_in_corpus
from xentjax.jobs.config import LanguageConfig, RunOptions
from xentjax.jobs.corpus import Corpus, encode_prompt, read_corpus
from xentjax.jobs.task import Task, train_task
from xentjax.losses.units import bits, bits_per_byte
from xentjax.models import GPT, GPTConfig, generate
from xentjax.train.evaluate import covering_windows
from xentjax.train.loop import FitResult
from xentjax.train.record import Record
from xentjax.train.runs import Run, environment
from xentjax.train.state import TrainState
from xentjax.train.totals import Totals

_STEPS_PER_CALL = 10
_VALIDATIONS = 10
_COPIES = (64, 16, 4, 1)


@dataclasses.dataclass(frozen=True)
class LanguageSummary:
    """What a run came to, all figures about bytes that training never saw.

    Attributes:
        text: the text's name.
        token: "byte" or "char".
        context: the most tokens the model can see.
        split_bytes: how many bytes each split has.
        parameters: how many numbers are trained.
        steps: optimizer steps taken.
        best_step: where validation was best; those parameters are tested.
        validation_loss_nats: nats per token.
        validation_unigram_nats: the unigram model on the same tokens.
        test_loss_nats: nats per token.
        test_loss_bits: bits per token.
        test_accuracy: share of tokens whose likeliest prediction was right.
        test_unigram_nats: the unigram model on the test tokens.
        bits_per_byte: of the model on the test bytes.
        unigram_bits_per_byte: of the unigram model on the test bytes.
        compressors: bits per byte of compressors on the test bytes.
        sample: what the model writes after the prompt, which it includes; empty until drawn.
        seconds: in all, compilation included.
    """

    text: str
    token: str
    context: int
    split_bytes: dict[str, int]
    parameters: int
    steps: int
    best_step: int
    validation_loss_nats: float | None
    validation_unigram_nats: float
    test_loss_nats: float
    test_loss_bits: float
    test_accuracy: float
    test_unigram_nats: float
    bits_per_byte: float
    unigram_bits_per_byte: float
    compressors: dict[str, Compression]
    sample: str
    seconds: float


def train_language(
    config: LanguageConfig,
    run: Run,
    *,
    console: Console | None = None,
    on_record: Callable[[Record], None] | None = None,
    on_tested: Callable[[LanguageSummary, tuple[Record, ...]], None] | None = None,
) -> tuple[LanguageSummary, tuple[Record, ...]]:
    """Train, test and sample a GPT, and write everything into the run's directory.

    Args:
        config: the options.
        run: where to write config.json, environment.json, metrics.jsonl and summary.json.
        console: where to show progress; standard output by default.
        on_record: called with every record, such as a logger's.
        on_tested: called with the summary, still without its sample, and the records, so that
            they are kept should the sampling fail.

    Returns:
        The summary and the records, those of the parts before a resumption included.

    Raises:
        ValueError: before any training, if the text is too short for block and batch_size, the
            prompt has a character the text has not, or top_k exceeds the vocabulary.
    """
    started = time.perf_counter()
    corpus, canaries = training_corpus(config)
    prompt = encode_prompt(config, corpus.tokenizer)
    run.write_json("config.json", {"job": "gpt", **dataclasses.asdict(config)})
    if canaries:
        run.write_json("canaries.json", {"canaries": canaries, "copies": _copies(config)})
    run.write_json(
        "environment.json",
        environment(seeds=[config.seed], data_name=corpus.name, data_sha256=corpus.sha256),
    )
    task = language_task(config, corpus)
    result = train_task(
        task,
        config.training,
        seed=config.seed,
        directory=run.path,
        checkpoint_every=config.run.checkpoint_every,
        resume=config.run.resume,
        config=_trained_with(config),
        on_record=on_record,
        console=console,
    )
    records = result.records
    test = task.score(result.best, "test")
    summary = _summarize(config, corpus, result, test, started)
    run.write_json("summary.json", dataclasses.asdict(summary))
    if on_tested is not None:
        on_tested(summary, records)
    sample = _sample(config, corpus, result.best, prompt)
    seconds = time.perf_counter() - started
    summary = dataclasses.replace(summary, sample=sample, seconds=seconds)
    run.write_json("summary.json", dataclasses.asdict(summary))
    return summary, records


def _trained_with(config: LanguageConfig) -> dict[str, Any]:
    """The options that training depends on: neither where it is kept nor what is sampled after."""
    options = dataclasses.asdict(dataclasses.replace(config, run=RunOptions()))
    without = ["prompt", "sample_length", "temperature", "top_k"]
    if not config.canaries:
        # As before there were any, so that checkpoints from then can be resumed.
        without.append("canaries")
    return {name: value for name, value in options.items() if name not in without}


def training_corpus(config: LanguageConfig) -> tuple[Corpus, tuple[str, ...]]:
    """The corpus to train on, and the canaries planted in its training part."""
    corpus = read_corpus(config)
    if not config.canaries:
        return corpus, ()
    return plant_in_corpus(corpus, copies=_copies(config), seed=config.seed)


def _copies(config: LanguageConfig) -> list[int]:
    """How often each canary is planted: it tells how often a secret must occur to be kept."""
    return [_COPIES[number % len(_COPIES)] for number in range(config.canaries)]


def language_task(config: LanguageConfig, corpus: Corpus) -> Task:
    """The training of a GPT on a corpus."""
    model_config = GPTConfig(
        vocab_size=corpus.tokenizer.vocab_size,
        block_size=config.block,
        layers=config.layers,
        heads=config.heads,
        width=config.width,
        dropout=config.dropout,
    )
    return Task(
        title="gpt",
        items="tokens",
        make_model=lambda seed: GPT(model_config, rngs=nnx.Rngs(seed)),
        make_batches=lambda seed: token_batches(
            corpus.tokens["train"],
            length=config.block,
            batch_size=config.batch_size,
            seed=seed,
        ),
        held_out={
            "validation": _windows(config, corpus, "validation", stride=config.block),
            # Half a window of context for every byte, at twice the cost, paid only once.
            "test": _windows(config, corpus, "test", stride=max(1, config.block // 2)),
        },
        learning_rate=2e-3,
        steps=config.steps,
        steps_per_call=_STEPS_PER_CALL,
        validate_every=_validation_interval(config.steps),
        batch_size=config.batch_size,
    )


def _validation_interval(steps: int) -> int:
    """About a tenth of the steps, rounded up to whole calls so that the step compiles once."""
    calls = -(-steps // (_VALIDATIONS * _STEPS_PER_CALL))
    return calls * _STEPS_PER_CALL


def _windows(
    config: LanguageConfig, corpus: Corpus, split: str, *, stride: int
) -> dict[str, np.ndarray]:
    before = {"validation": "train", "test": "validation"}[split]
    # One token of the part before it, so that the split's own first token is predicted too.
    tokens = np.concatenate([corpus.tokens[before][-1:], corpus.tokens[split]])
    return covering_windows(tokens, length=config.block, stride=stride)


def _sample(config: LanguageConfig, corpus: Corpus, state: TrainState, prompt: np.ndarray) -> str:
    if not config.sample_length:
        return ""
    tokens = generate(
        state.to_model(),
        prompt,
        length=config.sample_length,
        temperature=config.temperature,
        top_k=config.top_k,
        key=jax.random.fold_in(jax.random.key(config.seed), config.steps),
    )
    return config.prompt + corpus.tokenizer.decode(np.asarray(tokens))


def _summarize(
    config: LanguageConfig,
    corpus: Corpus,
    result: FitResult,
    test: Totals,
    started: float,
) -> LanguageSummary:
    n_bytes = {name: len(data) for name, data in corpus.data.items()}
    unigram = {
        name: unigram_nats(
            corpus.tokens["train"], corpus.tokens[name], classes=corpus.tokenizer.vocab_size
        )
        for name in ("validation", "test")
    }
    unigram_total = unigram["test"] * len(corpus.tokens["test"])
    return LanguageSummary(
        text=corpus.name,
        token=config.tokens,
        context=config.block,
        split_bytes=n_bytes,
        parameters=result.best.parameter_count,
        steps=config.steps,
        best_step=result.best_step,
        validation_loss_nats=result.best_validation_nats,
        validation_unigram_nats=unigram["validation"],
        test_loss_nats=test.loss_nats,
        test_loss_bits=float(bits(test.loss_nats)),
        test_accuracy=test.correct / test.count,
        test_unigram_nats=unigram["test"],
        bits_per_byte=float(bits_per_byte(test.loss, n_bytes["test"])),
        unigram_bits_per_byte=float(bits_per_byte(unigram_total, n_bytes["test"])),
        compressors=compress_held_out(corpus.data["train"], corpus.data["test"]),
        sample="",
        seconds=time.perf_counter() - started,
    )
