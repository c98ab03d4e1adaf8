"""Models in flax.nnx: hidden states and a head, and no word about losses.

One architecture a file, a frozen config beside each. `hidden(x)` gives the last hidden states,
the head maps them to logits; calling the model does both.
"""

from xentjax.models.activations import activation
from xentjax.models.augmentation import random_shift
from xentjax.models.cnn import CNN, CNNConfig
from xentjax.models.convolution import Convolution, convolve
from xentjax.models.dropout import Dropout
from xentjax.models.generation import generate
from xentjax.models.gpt import GPT, GPTConfig
from xentjax.models.mlp import MLP, MLPConfig
from xentjax.models.recurrence import GRULayer, LSTMLayer
from xentjax.models.rnn import RNN, RNNConfig
from xentjax.models.summary import LayerSummary, Summary, abstract_model, summarize

__all__ = [
    "CNN",
    "GPT",
    "MLP",
    "RNN",
    "CNNConfig",
    "Convolution",
    "Dropout",
    "GPTConfig",
    "GRULayer",
    "LSTMLayer",
    "LayerSummary",
    "MLPConfig",
    "RNNConfig",
    "Summary",
    "abstract_model",
    "activation",
    "convolve",
    "generate",
    "random_shift",
    "summarize",
]
