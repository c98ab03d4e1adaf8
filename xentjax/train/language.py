"""The job behind `xentjax train gpt`: a small GPT on a text, compared with what compressors do.

The text is cut in order, so that no held-out passage has its neighbour in the training text, and
every held-out token is predicted exactly once; those of the test from at least half a window of
context.
"""

import dataclasses
import time
from collections.abc import Callable

import jax
import numpy as np
from flax import nnx
from rich.console import Console

from xentjax.data import token_batches
from xentjax.losses.units import bits, bits_per_byte
from xentjax.models import GPT, GPTConfig, generate
from xentjax.train.baselines import Compression, compress_held_out, unigram_nats
from xentjax.train.config import LanguageConfig
from xentjax.train.corpus import Corpus, encode_prompt, read_corpus
from xentjax.train.evaluate import Evaluate, covering_windows, make_evaluate, padded_batches
from xentjax.train.loop import FitResult, train_loop
from xentjax.train.objectives import cross_entropy
from xentjax.train.progress import FitProgress
from xentjax.train.record import Record
from xentjax.train.runs import Run, environment
from xentjax.train.state import TrainState
from xentjax.train.step import make_step
from xentjax.train.totals import Totals
from xentjax.train.update_rule import make_update_rule

_STEPS_PER_CALL = 10
_VALIDATIONS = 10
_CLIP_NORM = 1.0


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
    on_tested: Callable[[LanguageSummary, tuple[Record, ...]], None] | None = None,
) -> tuple[LanguageSummary, tuple[Record, ...]]:
    """Train, test and sample a GPT, and write everything into the run's directory.

    Args:
        config: the options.
        run: where to write config.json, environment.json, metrics.jsonl and summary.json.
        console: where to show progress; standard output by default.
        on_tested: called with the summary, still without its sample, and the records, so that
            they are kept should the sampling fail.

    Returns:
        The summary and the records.

    Raises:
        ValueError: before any training, if the text is too short for block and batch_size, the
            prompt has a character the text has not, or top_k exceeds the vocabulary.
    """
    started = time.perf_counter()
    corpus = read_corpus(config)
    prompt = encode_prompt(config, corpus.tokenizer)
    run.write_json("config.json", dataclasses.asdict(config))
    run.write_json(
        "environment.json",
        environment(seeds=[config.seed], data_name=corpus.name, data_sha256=corpus.sha256),
    )
    evaluate = make_evaluate(cross_entropy())
    result = _fit(config, corpus, evaluate, run, console)
    # Half a window of context for every byte, at twice the cost, which the test pays only once.
    stride = max(1, config.block // 2)
    test = _scorer(config, corpus, "test", evaluate, stride=stride)(result.best)
    summary = _summarize(config, corpus, result, test, started)
    run.write_json("summary.json", dataclasses.asdict(summary))
    if on_tested is not None:
        on_tested(summary, result.records)
    sample = _sample(config, corpus, result.best, prompt)
    seconds = time.perf_counter() - started
    summary = dataclasses.replace(summary, sample=sample, seconds=seconds)
    run.write_json("summary.json", dataclasses.asdict(summary))
    return summary, result.records


def _fit(
    config: LanguageConfig,
    corpus: Corpus,
    evaluate: Evaluate,
    run: Run,
    console: Console | None,
) -> FitResult:
    rule = make_update_rule(
        config.optimizer,
        config.schedule,
        peak=config.learning_rate,
        steps=config.steps,
        weight_decay=config.weight_decay,
        clip_norm=_CLIP_NORM,
    )
    model_config = GPTConfig(
        vocab_size=corpus.tokenizer.vocab_size,
        block_size=config.block,
        layers=config.layers,
        heads=config.heads,
        width=config.width,
        dropout=config.dropout,
    )
    model = GPT(model_config, rngs=nnx.Rngs(config.seed))
    state = TrainState.create(model, rule.optimizer, key=jax.random.key(config.seed))
    training = cross_entropy(label_smoothing=config.label_smoothing)
    progress = FitProgress("gpt", steps=config.steps, items="tokens", console=console)

    def on_record(record: Record) -> None:
        run.append_metrics(record.to_metrics())
        progress.show(record)

    with progress:
        return train_loop(
            state,
            make_step(training, rule.optimizer, learning_rate=rule.learning_rate),
            token_batches(
                corpus.tokens["train"],
                length=config.block,
                batch_size=config.batch_size,
                seed=config.seed,
            ),
            steps=config.steps,
            steps_per_call=_STEPS_PER_CALL,
            validate=_scorer(config, corpus, "validation", evaluate, stride=config.block),
            validate_every=_validation_interval(config.steps),
            on_record=on_record,
        )


def _validation_interval(steps: int) -> int:
    """About a tenth of the steps, rounded up to whole calls so that the step compiles once."""
    calls = -(-steps // (_VALIDATIONS * _STEPS_PER_CALL))
    return calls * _STEPS_PER_CALL


def _scorer(
    config: LanguageConfig, corpus: Corpus, split: str, evaluate: Evaluate, *, stride: int
) -> Callable[[TrainState], Totals]:
    before = {"validation": "train", "test": "validation"}[split]
    # One token of the part before it, so that the split's own first token is predicted too.
    tokens = np.concatenate([corpus.tokens[before][-1:], corpus.tokens[split]])
    windows = covering_windows(tokens, length=config.block, stride=stride)
    padded = padded_batches(windows, batch_size=config.batch_size)
    return lambda state: evaluate(state, padded)


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
