"""Reports to test with: one that has everything, and one that is hostile in every text."""

import dataclasses
import math

import numpy as np

from xentjax.audit.report import Report
from xentjax.audit.section import ColouredText, Grid, Measure, Picture, Section

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9"/></svg>'
HOSTILE = (
    "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&lt;b&gt; [red]x[/red] [/] "
    "\x00\x1b[31m\u202e</style></title><!-- %s javascript:x \ud800 --><svg/onload=alert(1)>"
)


def make_report(sections, **changes):
    report = Report(
        title="What digits hides",
        run="digits",
        model="MLP",
        data="digits",
        data_sha256="cf7e26",
        sizes={"training rows": 1259, "test rows": 269},
        parameters=50826,
        versions={"jax": "0.10.2"},
        device="cpu",
        seeds={"training": 0, "audit": 0},
        date="2026-01-31",
        seconds=12.3,
        made_with="xentjax audit runs/digits",
        sections=sections,
    )
    return dataclasses.replace(report, **changes)


def full_section(words="plain words", key="calibration", verdict="watch"):
    """A section with one of each, every text of it being `words`."""
    return Section(
        key=key,
        title=words,
        question=words,
        verdict=verdict,
        finding=words,
        measures=[
            Measure(words, 0.048, 0.031, 0.066, "share", words, "act"),
            Measure(words, -0.3, -0.7, 0.4, words, words, "watch"),
            Measure(words, math.nan, math.nan, math.inf, "nats", words, "unmeasured"),
            Measure(words, 0.0),
        ],
        grids=[
            Grid(
                words,
                [words, "rows", "loss"],
                [[words, np.int32(12), np.float32(0.5)], [None, 3, math.inf], [True, 1, -0.25]],
                words,
            )
        ],
        pictures=[Picture(words, words, SVG)],
        texts=[ColouredText(words, words, [(words, 0.1), ("b", math.nan), ("c", 9.0)], 0.0, 2.0)],
        advice=[words],
        unmeasured=[words],
    )


def hostile_report():
    return make_report(
        [full_section(HOSTILE, HOSTILE, verdict) for verdict in ("act", "good", "unmeasured")],
        **dict.fromkeys(("title", "run", "model", "data", "data_sha256", "device"), HOSTILE),
        **dict.fromkeys(("date", "made_with"), HOSTILE),
        sizes={HOSTILE: 1},
        versions={HOSTILE: HOSTILE},
        seeds={HOSTILE: 0},
    )
