"""Canaries: random secrets planted in a training text, to see later whether a model tells them.

Plant them before training; `audit.canaries.canary_exposure` measures them after it. Because a
secret was drawn at random, only a model that memorized it can prefer it to its alternatives.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


@dataclasses.dataclass(frozen=True)
class CanaryFormat:
    """The form of a secret: fixed words and a random filling after them.

    Attributes:
        prefix: the words before the filling.
        alphabet: the distinct characters that the filling is drawn from, at least two.
        length: characters of the filling, at least 1.

    Example:
        >>> form = CanaryFormat(prefix="PIN ", alphabet="0123456789", length=4)
        >>> form.space, form.spell(42), form.number("PIN 0042")
        (10000, 'PIN 0042', 42)
    """

    prefix: str = "The secret number is "
    alphabet: str = "0123456789"
    length: int = 9

    def __post_init__(self) -> None:
        if len(set(self.alphabet)) != len(self.alphabet) or len(self.alphabet) < 2:
            raise ValueError(
                f"alphabet must be at least two distinct characters, got {self.alphabet!r}"
            )
        if self.length < 1:
            raise ValueError(f"length must be at least 1, got {self.length}")
        if any(len(line.splitlines()) > 1 for line in (self.prefix, self.alphabet)):
            raise ValueError("prefix and alphabet must not hold line breaks: a canary is one line")

    @property
    def space(self) -> int:
        """|R|, how many canaries there are of this form."""
        return len(self.alphabet) ** self.length

    @property
    def bits(self) -> float:
        """log2 |R|, the exposure of a secret that is told before all others."""
        return self.length * math.log2(len(self.alphabet))

    def spell(self, number: int) -> str:
        """The canary of a number in [0, |R|)."""
        if not 0 <= number < self.space:
            raise ValueError(f"number must lie in [0, {self.space}), got {number}")
        filling = ""
        for _ in range(self.length):
            number, digit = divmod(number, len(self.alphabet))
            filling = self.alphabet[digit] + filling
        return self.prefix + filling

    def number(self, canary: str) -> int:
        """The number of a canary, the reverse of `spell`."""
        filling = canary.removeprefix(self.prefix)
        fits = canary.startswith(self.prefix) and len(filling) == self.length
        if not fits or set(filling) - set(self.alphabet):
            raise ValueError(
                f"canary must be {self.prefix!r} and {self.length} characters of "
                f"{self.alphabet!r}, got {canary!r}; give the format it was made with"
            )
        number = 0
        for character in filling:
            number = number * len(self.alphabet) + self.alphabet.index(character)
        return number

    def draw(self, count: int, rng: np.random.Generator) -> tuple[str, ...]:
        """Canaries drawn at random, with replacement."""
        letters = rng.integers(0, len(self.alphabet), (count, self.length))
        return tuple(
            self.prefix + "".join(self.alphabet[letter] for letter in row) for row in letters
        )


class Planted(NamedTuple):
    """A text with canaries in it, and the canaries."""

    text: str
    canaries: tuple[str, ...]


def plant_canaries(
    text: str, *, copies: Sequence[int], form: CanaryFormat | None = None, seed: int
) -> Planted:
    r"""Draws canaries and puts copies of each on lines of their own, at random places of a text.

    Different numbers of copies tell how often a secret must occur before it is memorized.

    Args:
        text: the training text; never the held-out one.
        copies: of each canary, how often it is planted; as many canaries as numbers, each ≥ 1.
        form: of the canaries; the default has 10⁹ of them.
        seed: of the secrets and their places.

    Returns:
        The text, longer by the planted lines, and the canaries in the order of `copies`.

    Raises:
        ValueError: if there are no copies, or more canaries than the form has.

    Example:
        >>> form = CanaryFormat("PIN ", length=4)
        >>> planted = plant_canaries("one\ntwo\n", copies=[2], form=form, seed=0)
        >>> planted.text.count(planted.canaries[0]), len(planted.text)  # 8 characters and twice 9
        (2, 26)

    Reference:
        N. Carlini et al., The Secret Sharer: Evaluating and Testing Unintended Memorization in
        Neural Networks, 2019.
    """
    form = CanaryFormat() if form is None else form
    if not copies or min(copies) < 1:
        raise ValueError(f"copies must be numbers of at least 1, one a canary, got {list(copies)}")
    if len(copies) > form.space:
        raise ValueError(f"copies: got {len(copies)} canaries, the form has only {form.space}")
    rng = np.random.default_rng(seed)
    canaries: dict[str, None] = {}
    while len(canaries) < len(copies):
        canaries.update(dict.fromkeys(form.draw(1, rng)))
    # Only "\n": what else splitlines takes for a line's end may stand within a line.
    lines = text.split("\n")
    planted = [canary for canary, times in zip(canaries, copies, strict=True) for _ in range(times)]
    places = rng.integers(0, len(lines), len(planted))
    # From the last place to the first, so that no insertion moves a place to come.
    for place, canary in sorted(zip(places.tolist(), planted, strict=True), reverse=True):
        lines.insert(place, canary)
    return Planted("\n".join(lines), tuple(canaries))
