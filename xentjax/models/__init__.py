"""Models in flax.nnx: hidden states and a head, and no word about losses.

One architecture a file, a frozen config beside each. `hidden(x)` gives the last hidden states,
the head maps them to logits; calling the model does both.
"""

from xentjax.models.activations import activation
from xentjax.models.dropout import Dropout
from xentjax.models.generation import generate
from xentjax.models.gpt import GPT, GPTConfig
from xentjax.models.mlp import MLP, MLPConfig

__all__ = ["GPT", "MLP", "Dropout", "GPTConfig", "MLPConfig", "activation", "generate"]
