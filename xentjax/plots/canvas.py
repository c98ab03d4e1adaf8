"""The canvas: one look for all pictures, and what to say where matplotlib is missing."""

import re
from collections.abc import Callable
from io import BufferedIOBase
from pathlib import Path
from typing import Any

# No letter, and not allowed in the XML of an SVG either: controls, lone surrogates, noncharacters.
_UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def require_matplotlib() -> None:
    """Raise an ImportError that names the extra, if matplotlib is missing."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'pictures are drawn by matplotlib: pip install "xentjax[plot]"'
        ) from error


def new_figure(title: str, *, size: tuple[float, float]) -> Any:
    """A figure of its own, and not pyplot, which keeps every figure in global state.

    Args:
        title: above the picture.
        size: width and height in inches.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=130, layout="constrained")
    figure.suptitle(literal(title), fontsize=13, fontweight="bold")
    return figure


def literal(text: str, *, longest: int | None = None) -> str:
    r"""Text of the data, such as the name of a class, as a picture can show it.

    A character that the font does not have becomes its number, one that cannot be printed a
    visible sign; what is too long is cut, and a dollar begins no formula, which could fail to
    parse.

    Args:
        text: any.
        longest: characters, the last of them "…" where there were more.

    Example:
        >>> literal("a long name", longest=7), literal("a\x00b"), literal("a 日")
        ('a long…', 'a�b', 'a U+65E5')
    """
    text = "".join(map(_drawable(), _UNPRINTABLE.sub("\ufffd", text)))
    if longest is not None and len(text) > longest:
        text = text[: longest - 1] + "…"
    return text.replace("$", r"\$")


def _drawable() -> Callable[[str], str]:
    """A character as it is where the font has it, else its number: boxes are all alike."""
    require_matplotlib()
    from matplotlib.font_manager import FontProperties, findfont, get_font

    glyph = get_font(findfont(FontProperties())).get_char_index
    return lambda letter: letter if letter == "\n" or glyph(ord(letter)) else f"U+{ord(letter):04X}"


def save(figure: Any, target: Path | BufferedIOBase) -> None:
    """Writes a figure: to a path in the format of its suffix, to an open file as SVG.

    The same figure gives the same bytes.
    """
    import matplotlib

    if isinstance(target, Path):
        figure.savefig(target)
        return
    # Letters become shapes, so that the drawing needs no font of the reader's.
    with matplotlib.rc_context({"svg.hashsalt": "xentjax", "svg.fonttype": "path"}):
        figure.savefig(target, format="svg", metadata={"Date": None})


def plain(panel: Any) -> None:
    """Takes the frame's upper and right side away and draws a light grid."""
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(alpha=0.25, linewidth=0.6)
    panel.margins(x=0.02)
