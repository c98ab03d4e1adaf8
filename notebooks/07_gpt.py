# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: all
#     notebook_metadata_filter: all
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   language_info:
#     name: python
# ---

# %% [markdown]
# # A GPT on the Python manual
#
# At the end of this notebook you can
#
# - turn text into numbers in three ways, and say what each costs;
# - compare a language model with the right yardsticks: log V, unigram, bigram, a compressor;
# - write causal attention in six lines and check it against the real one;
# - train a small GPT, read its loss by position, and let it write;
# - find the structure it made of its embeddings without being told.
#
# The text is the manual of your own Python, which needs no download. Two to three minutes on two
# cores, most of it the training.

# %%
import lzma

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from flax import nnx

from xentjax import bits, bits_per_byte, perplexity, softmax_cross_entropy
from xentjax.audit import longest_shared_span, trace_attention
from xentjax.data import ByteTokenizer, CharTokenizer, TokenWindows, contiguous_split, load_manual
from xentjax.models import GPT, GPTConfig, generate
from xentjax.train import fit

plt.style.use("xentjax.mplstyle")
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"

text = load_manual()
print(f"{len(text.data):,} bytes; it begins:")
print(text.text[:240])

# %% [markdown]
# ## 1. Text to numbers
#
# **Bytes** know every text and have 256 values. **Characters** know those they have seen.
# **Byte-pair encoding** joins frequent neighbours until the vocabulary is as large as you want:
# texts get shorter, the head gets wider.

# %%
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

bpe = Tokenizer(models.BPE())
bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
bpe.train_from_iterator(
    [text.text],
    trainers.BpeTrainer(
        vocab_size=1024,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    ),
)

sample = "The list.append() method adds an item."
by_bytes, by_chars = ByteTokenizer(), CharTokenizer.train(text.text)
pieces = bpe.encode(sample).tokens
print("bytes     ", len(by_bytes.encode(sample)), "tokens of", by_bytes.vocab_size)
print("characters", len(by_chars.encode(sample)), "tokens of", by_chars.vocab_size)
print("pairs     ", len(pieces), "tokens of", bpe.get_vocab_size())
print("|".join(piece.replace("Ġ", "·") for piece in pieces))

# %% [markdown]
# A loss per token cannot be compared between them: a token of ten bytes *should* cost more.
# **Bits per byte** can: total nats, divided by log 2 and by the bytes they cover. We go on with
# bytes, where the two are one number.
#
# ## 2. The yardsticks
#
# The text is cut **in order**, 90 / 5 / 5 %. Rows drawn at random would put the neighbours of every
# test line into the training text.

# %%
whole = np.frombuffer(text.data, np.uint8)
parts = {name: whole[i] for name, i in contiguous_split(len(whole))._asdict().items()}
train, held_out = parts["train"], parts["validation"]


def unigram_nats(train, held_out):
    """Nats per byte of the training frequencies, each byte counted once more than seen."""
    counts = np.bincount(train, minlength=256) + 1
    return -np.log(counts / counts.sum())[held_out].mean()


def bigram_nats(train, held_out):
    counts = np.ones((256, 256)) * 0.02
    np.add.at(counts, (train[:-1], train[1:]), 1)
    shares = counts / counts.sum(1, keepdims=True)
    return -np.log(shares)[held_out[:-1], held_out[1:]].mean()


def compressor_nats(train, held_out):
    """What xz needs for the held-out bytes once it has read the training text."""
    size = lambda data: len(lzma.compress(data.tobytes(), preset=9))  # noqa: E731
    extra = size(np.concatenate([train, held_out])) - size(train)
    return extra * 8 * np.log(2) / len(held_out)


yardsticks = {
    "knows nothing (log 256)": np.log(256),
    "unigram": unigram_nats(train, held_out),
    "bigram": bigram_nats(train, held_out),
    "xz, having read the rest": compressor_nats(train, held_out),
}
for name, nats in yardsticks.items():
    print(f"{name:25} {nats:.3f} nats = {bits(nats):.3f} bits per byte")

# %% [markdown]
# The compressor is a hard opponent: a manual repeats itself word for word, and xz finds every
# repeat within the whole text, while our model will see 64 bytes.
#
# ## 3. Attention in six lines
#
# Each position asks (query), each offers (key, value). The scores are inner products, those of the
# future are masked, softmax makes shares of them, and the output is the shared-out values.


# %%
def attend(q, k, v):
    scores = jnp.einsum("qhd,khd->hqk", q, k) / jnp.sqrt(q.shape[-1])
    past = jnp.tril(jnp.ones(scores.shape[-2:], bool))
    scores = jnp.where(past, scores, -jnp.inf)
    shares = jax.nn.softmax(scores, axis=-1)
    return jnp.einsum("hqk,khd->qhd", shares, v)


q, k, v = jax.random.normal(jax.random.key(0), (3, 10, 2, 8))  # 10 positions, 2 heads of 8
real = jax.nn.dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
print("apart by less than 1e-5:", bool(jnp.abs(attend(q, k, v) - real).max() < 1e-5))

# %% [markdown]
# An **embedding** is a row of a table, one row a byte. As a product with a one-hot vector it is the
# same thing, only slower:

# %%
model = GPT(
    GPTConfig(vocab_size=256, block_size=64, layers=3, heads=4, width=96, mlp="swiglu"),
    rngs=nnx.Rngs(0),
)
row = model.embedding[...][ord("a")]
print("same row:", bool(jnp.allclose(jax.nn.one_hot(ord("a"), 256) @ model.embedding[...], row)))

# %% [markdown]
# Before any training the loss must be near log 256, as the model knows nothing:

# %%
spread = np.arange(0, len(train) - 65, 10_000)
first = {name: jnp.asarray(x) for name, x in TokenWindows(train, 64).take(spread).items()}
start = softmax_cross_entropy(model(first["tokens"]), first["labels"], reduction="mean")
print(f"first loss {start:.3f}, log 256 = {np.log(256):.3f}")

# %% [markdown]
# ## 4. Training
#
# Every window of 64 bytes gives 64 predictions at once, for each position the next byte.

# %%
result = fit(
    model,
    TokenWindows(train, 64),
    schedule="warmup_cosine",
    steps=500,
    batch_size=32,
    validation=TokenWindows(held_out, 64, stride=64),
    validate_every=50,
    show_validations=False,
)
trained = result.best.to_model()
best = result.best_validation_nats
curve = [(r.step, r.loss_nats) for r in result.records if r.split == "validation"]

figure, axes = plt.subplots(figsize=(6.6, 3.8))
axes.plot(*zip(*curve, strict=True), "o-", color=BLUE, ms=4)
for name, nats in list(yardsticks.items())[1:]:
    axes.axhline(nats, color=GREY, lw=1)
    axes.text(500, nats + 0.03, name, ha="right", va="bottom", color=GREY)
axes.set(xlabel="optimizer step", ylabel="held-out loss (nats per byte)", xlim=(0, 505))
axes.set_title("A small GPT learns to read the manual")
plt.show()
print(f"held-out: {best:.3f} nats, perplexity {perplexity(best):.2f}")

# %% [markdown]
# ## 5. What context is worth
#
# The loss at the first position of a window is that of a model with one byte of context. Averaged
# over many windows, position by position:

# %%
windows = TokenWindows(held_out, 64, stride=13)  # so that all bytes come at every position
batch = {name: jnp.asarray(x) for name, x in windows.take(np.arange(len(windows))).items()}
losses = jax.jit(lambda b: softmax_cross_entropy(trained(b["tokens"]), b["labels"]))(batch)
by_position = np.asarray(losses).mean(0)

figure, axes = plt.subplots(figsize=(6.4, 3.2))
axes.plot(np.arange(1, 65), by_position, color=BLUE)
for name in ("unigram", "bigram"):
    axes.axhline(yardsticks[name], color=GREY, lw=1)
    axes.text(64, yardsticks[name] + 0.03, name, ha="right", color=GREY)
axes.set(xlabel="bytes of context", ylabel="nats per byte", xlim=(1, 64))
axes.set_title("The first bytes of context are worth the most")
plt.show()

# %% [markdown]
# With one byte it stands a little above the bigram, and it can hardly get below: it knows no more.
# Two or three bytes more are worth about a nat. Then the curve flattens, for so short a training
# has hardly learned to use more. Still, this is why test figures want context: the test
# loss of `xentjax train gpt` predicts every token once and with at least half a window before it.
#
# Where does it look? For each byte of a line, the shares that the bytes up to it get, averaged over
# the four heads of a layer.

# %%
line = "the name of the function is the name"
shares = trace_attention(trained, np.frombuffer(line.encode(), np.uint8).astype(np.int32)).weights
back = np.arange(len(line))[:, None] - np.arange(len(line))
figure, panels = plt.subplots(1, 3, figsize=(9.6, 3.5), sharey=True)
for number, (axes, layer) in enumerate(zip(panels, np.asarray(shares), strict=True), start=1):
    axes.imshow(layer.mean(0) ** 0.5, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(line)), labels=list(line), fontsize=6)
    axes.set_yticks(range(len(line)), labels=list(line), fontsize=6)
    axes.tick_params(length=0)
    axes.set_title(f"layer {number}: {(layer * back).sum(-1).mean():.1f} bytes back on average")
figure.supylabel("this byte …")
figure.supxlabel("… looks at these (the darker, the more)")
plt.show()

# %% [markdown]
# Nothing stands to the right of the diagonal: that is the mask. Most of the ink lies along it: this
# model looks a few bytes back, as the curve above has told us. With more training other patterns
# come up, such as columns (a byte that all later ones look at) or lines at a distance (what
# followed the last time).
#
# ## 6. Let it write
#
# Temperature divides the logits: below 1 the likely gets likelier, above 1 everything becomes
# possible.

# %%
tokenizer = ByteTokenizer()
written = {}
for temperature in (0.3, 0.8, 1.3):
    prompt = tokenizer.encode("The following ")
    new = generate(trained, prompt, length=120, temperature=temperature, key=jax.random.key(1))
    written[f"temperature {temperature}"] = np.asarray(new)
    print(f"--- temperature {temperature}")
    print("The following " + tokenizer.decode(np.asarray(new)))

# %% [markdown]
# Did it learn the language or the text? We look for the longest run of bytes that stands word for
# word in what it was trained on, and for a scale we ask the same of as many bytes of the manual
# that it never saw.

# %%
for name, sample in {**written, "the manual itself": held_out[:120]}.items():
    span = longest_shared_span(np.asarray(sample, np.int32), train.astype(np.int32))
    copied = sample[span.test_start : span.test_start + span.length].tolist()
    print(f"{name:17} {span.length:3} bytes: {tokenizer.decode(copied)!r}")

# %% [markdown]
# What it writes is put together from pieces of a word or two. The manual repeats itself at greater
# length than that, and xz lives on it. A larger model that sees the text many times does recite:
# `xentjax audit` plants sentences in the training text and measures whether they come out
# (`canary_exposure`, `extract_verbatim`).

# %% [markdown]
# ## 7. What the embeddings know
#
# Nobody told the model which bytes are letters. Two principal directions of the embeddings of those
# that occur often:

# %%
often = [b for b in np.argsort(-np.bincount(train, minlength=256))[:80] if 33 <= b < 127]
vectors = np.asarray(trained.embedding[...])[often]
vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
_, _, directions = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
places = (vectors - vectors.mean(0)) @ directions[:2].T


def kind(b):
    c = chr(b)
    kinds = [("lower case", c.islower()), ("upper case", c.isupper()), ("digit", c.isdigit())]
    return next((name for name, yes in kinds if yes), "other")


colors = {"lower case": BLUE, "upper case": ORANGE, "digit": GREEN, "other": GREY}
figure, axes = plt.subplots(figsize=(6.6, 4.6))
for b, place in zip(often, places, strict=True):
    axes.text(*place, chr(b), color=colors[kind(b)], ha="center", va="center", fontsize=12)
reach = np.abs(places).max(0) * 1.1
axes.set(xlim=(-reach[0], reach[0]), ylim=(-reach[1], reach[1]))
axes.set(xlabel="first principal direction", ylabel="second")
for name, color in colors.items():
    axes.plot([], [], "s", color=color, label=name)
axes.legend(loc="best")
axes.set_title("Bytes that are used alike lie together")
plt.show()

# %% [markdown]
# ## 8. Other tasks, the same loss
#
# | task | what is a class | what is masked |
# |---|---|---|
# | language model | next token | padding |
# | text classification | a topic, one a text | |
# | tagging (names, word classes) | a tag, one a token | padding, word pieces after the first |
# | translation, summaries | next token of the answer | the source text |
# | instruction tuning | next token of the answer | the question |
# | masked language model | the hidden token | all that was not hidden |
# | extractive answers | first and last position of the answer | positions outside the passage |
# | speech, handwriting | an alignment of symbols (`ctc_loss`) | silence, by the blank |
#
# They differ in *where* the loss counts, and that is what `ignore_index` and `where` are for. An
# answer to a question, with the question masked:

# %%
chat = tokenizer.encode("Q: What is a list? A: A mutable sequence.")
answer = "Q: What is a list? A:"
tokens, labels = chat[:-1].astype(int), chat[1:].astype(int)
labels = np.where(np.arange(len(labels)) < len(answer) - 1, -100, labels)
nats = softmax_cross_entropy(
    trained(jnp.asarray(tokens)[None]), jnp.asarray(labels)[None], ignore_index=-100
)
counted = int((labels != -100).sum())
total = float(nats.sum())
print(f"{counted} of {len(labels)} tokens count: {bits_per_byte(total, counted):.2f} bits per byte")

# %% [markdown]
# ## Exercises
#
# **1. Fair comparison.** Train the same model on the byte-pair tokens
# (`bpe.encode(text.text).ids`) and compare bits per *byte*. Which of the two losses per token is
# lower, and does it matter?
#
# <details><summary>Answer</summary>
#
# The loss per token is higher, as each token covers some three bytes. Bits per byte = total nats /
# (log 2 · bytes) are comparable, and there the longer reach (64 tokens are about 190 bytes) helps.
#
# </details>
#
# **2. Peeking.** Remove the causal mask from `attend`. What would happen to the training loss of
# a model built on it, and to what it writes?
#
# <details><summary>Answer</summary>
#
# The loss goes to nearly 0, since the next byte is among the inputs. When writing there is no
# next byte to copy, and it writes nonsense. A training loss that is too good is a finding.
#
# </details>
#
# **3. The compressor.** Why does xz beat the small GPT on this text, and on which text would it
# not?
#
# <details><summary>Answer</summary>
#
# It copies repeats of any length from anywhere in half a million bytes; the model sees 64. On text
# without long repeats (a novel of its own style) statistics win over copying.
#
# </details>
