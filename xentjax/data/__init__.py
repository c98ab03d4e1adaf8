"""Host-side data: sources, splits, tokenizers and batches.

Real data that needs no network (`load_digits`, `load_breast_cancer`, `load_manual`) and the
user's own (`table_from_arrays`, `load_text`) come in through the same two types, `Table` and
`Text`. Everything here is numpy; nothing touches a device.
"""

from xentjax.data.batches import batches, token_batches
from xentjax.data.canaries import CanaryFormat, plant_canaries
from xentjax.data.sources import (
    Table,
    Text,
    load_breast_cancer,
    load_digits,
    load_manual,
    load_text,
    table_from_arrays,
)
from xentjax.data.splits import SmallSplitWarning, Split, contiguous_split, stratified_split
from xentjax.data.standardization import Standardization, standardize
from xentjax.data.tokenizers import ByteTokenizer, CharTokenizer
from xentjax.data.windows import TokenWindows

__all__ = [
    "ByteTokenizer",
    "CanaryFormat",
    "CharTokenizer",
    "SmallSplitWarning",
    "Split",
    "Standardization",
    "Table",
    "Text",
    "TokenWindows",
    "batches",
    "contiguous_split",
    "load_breast_cancer",
    "load_digits",
    "load_manual",
    "load_text",
    "plant_canaries",
    "standardize",
    "stratified_split",
    "table_from_arrays",
    "token_batches",
]
