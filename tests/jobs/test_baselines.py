"""The baselines are what the tools and the formula say."""

import bz2
import collections
import gzip
import lzma
import math

import numpy as np
import pytest

from xentjax.jobs.baselines import compress_held_out, unigram_nats

TRAIN = b"".join(b"line %d of the training text\n" % i for i in range(300))
HELD_OUT = b"".join(b"line %d of the held-out text\n" % i for i in range(40))


def test_compressors_are_scored_on_the_held_out_bytes():
    figures = compress_held_out(TRAIN, HELD_OUT)
    tools = {"gzip -9": gzip.compress, "bzip2 -9": bz2.compress}
    tools["xz -9e"] = lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)
    for name, compress in tools.items():
        alone, added = (
            len(compress(HELD_OUT)),
            len(compress(TRAIN + HELD_OUT)) - len(compress(TRAIN)),
        )
        assert figures[name].alone == pytest.approx(8 * alone / len(HELD_OUT))
        assert figures[name].primed == pytest.approx(8 * added / len(HELD_OUT))


def test_a_compressor_that_has_seen_the_text_needs_next_to_nothing():
    noise = np.random.default_rng(0).integers(0, 256, 4000).astype(np.uint8).tobytes()
    xz = compress_held_out(noise, noise)["xz -9e"]
    assert xz.alone > 8
    assert xz.primed < 0.2


def test_the_unigram_model_is_counted_on_train_and_scored_on_held_out():
    train, held_out = np.frombuffer(TRAIN, np.uint8), np.frombuffer(HELD_OUT, np.uint8)
    counts = collections.Counter(TRAIN)
    nats = [-math.log((counts[byte] + 1) / (len(TRAIN) + 256)) for byte in HELD_OUT]
    assert unigram_nats(train, held_out, classes=256) == pytest.approx(sum(nats) / len(nats))


def test_empty_texts_are_refused():
    with pytest.raises(ValueError, match="at least one byte"):
        compress_held_out(TRAIN, b"")
    with pytest.raises(ValueError, match="got 1 train and 0 held_out"):
        unigram_nats(np.array([1]), np.array([], np.int64), classes=2)
