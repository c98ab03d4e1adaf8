"""The page: a report as one HTML file that opens anywhere, today and in ten years.

No scripts, no network, pictures inside; its own policy forbids the browser everything else.
"""

from importlib import resources
from pathlib import Path

from xentjax.audit.markup import Markup, element, escaped, lines, prose
from xentjax.audit.page_section import anchor, section_article, verdict_badge
from xentjax.audit.report import MEANINGS, VERDICTS, Report, leading_sentences, verdict_sentence

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)

# For a reader who does not train models.
_WORDS = {
    "Training, validation, test": "What the model learned from; what was used to choose among "
    "models and settings; what was kept back until the end, to judge by.",
    "Loss, in nats": "How surprised the model is by the truth: −log of the probability that it "
    "gave to it. 0 is certain and right, 0.7 is a probability of one half, 2.3 of one in ten.",
    "95 % interval": "Where the true value lies, as far as so much data can tell. A wide one asks "
    "for more data.",
    "Area under the curve (AUC, AUROC)": "Of a pair, one of each of two kinds, how often a score "
    "tells which is which. 0.5 is guessing, 1 is always.",
    "Null": "The same measurement where there is nothing to find. What an attack finds there too "
    "is no evidence.",
    "Token": "The piece that a language model reads and writes: a byte, a letter or part of a "
    "word.",
}


def write_html(report: Report, path: Path) -> None:
    """Writes the report as one self-contained HTML file.

    Prefer it to share an audit with people: it is read on a phone, printed and mailed. For a
    program to read there is `write_json`.

    Args:
        report: what was found.
        path: the file to write.

    Example:
        >>> import tempfile
        >>> from xentjax.audit.section import Section
        >>> found = Section("calibration", "Overconfidence", "Is it?", "good", "It is <not>.")
        >>> report = Report(
        ...     "An audit", "digits", "MLP", "digits", "cf7e", {"test rows": 269}, 10, {}, "cpu",
        ...     {"audit": 0}, "2026-01-31", 1.0, "xentjax audit runs/digits", [found],
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_html(report, Path(folder, "audit.html"))
        ...     "It is &lt;not&gt;." in Path(folder, "audit.html").read_text()
        True
    """
    path.write_text(page(report), encoding="utf-8")


def page(report: Report) -> str:
    """The HTML of `write_html`."""
    body = element(
        "body",
        lines(
            [
                _header(report),
                element("main", lines(["", _overview(report), *_articles(report)]), id="top"),
                _footer(report),
            ]
        ),
    )
    return f'<!DOCTYPE html>\n<html lang="en">\n{_head(report)}\n{body}\n</html>\n'


def _head(report: Report) -> Markup:
    style = resources.files("xentjax.audit").joinpath("page.css").read_text(encoding="utf-8")
    return element(
        "head",
        lines(
            [
                element("meta", charset="utf-8"),
                element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
                element("meta", name="viewport", content="width=device-width, initial-scale=1"),
                element("meta", name="color-scheme", content="light dark"),
                element("meta", name="referrer", content="no-referrer"),
                element("title", report.title),
                element("style", Markup(f"\n{style}")),
            ]
        ),
    )


def _header(report: Report) -> Markup:
    splits = ", ".join(f"{count:,} {name}" for name, count in report.sizes.items())
    count = report.parameters
    facts = {
        "Model": report.model + (f", {count:,} parameters" if count is not None else ""),
        "Data": report.data,
        "Sizes": splits,
        "Date": report.date,
    }
    return element(
        "header",
        lines(
            [
                element("p", f"Run {report.run}", class_="kicker"),
                element("h1", report.title),
                element("p", verdict_sentence(report), class_="lead"),
                _facts(facts),
            ]
        ),
    )


def _overview(report: Report) -> Markup:
    entries = [
        element(
            "li",
            verdict_badge(section.verdict),
            element(
                "div",
                element("h3", element("a", section.title, href=f"#{anchor(number, section.key)}")),
                element("p", prose(leading_sentences(section.finding))),
            ),
        )
        for number, section in enumerate(report.sections, 1)
    ]
    meanings = [
        element("li", verdict_badge(verdict), element("span", MEANINGS[verdict]))
        for verdict in VERDICTS
    ]
    return element(
        "nav",
        lines(
            [
                element("h2", "At a glance", id="overview"),
                element("ol", lines(entries), class_="overview"),
                element("ul", lines(meanings), class_="meanings"),
            ]
        ),
        aria_labelledby="overview",
    )


def _articles(report: Report) -> list[Markup]:
    return [section_article(section, number) for number, section in enumerate(report.sections, 1)]


def _footer(report: Report) -> Markup:
    facts: dict[str, str] = {
        "Command": element("code", report.made_with),
        "Data": f"{report.data}, SHA-256 {report.data_sha256}",
        "Seeds": ", ".join(f"{name} {seed}" for name, seed in report.seeds.items()),
        "Device": report.device,
        "Versions": ", ".join(f"{name} {version}" for name, version in report.versions.items()),
        "Time": f"{report.seconds:,.0f} seconds, on {report.date}",
    }
    return element(
        "footer",
        lines(
            [
                element("h2", "How this was made"),
                element(
                    "p",
                    "Intervals are 95 % intervals: of data like these drawn again, 95 in 100 such "
                    "intervals would hold the true value. What is fitted is fitted on validation "
                    "and reported on test. A verdict follows from the interval, not from the "
                    "single number; a number without interval is judged as it stands. A danger "
                    "has the worst verdict found in it.",
                ),
                _facts(facts),
                element("h3", "Words"),
                _facts(_WORDS),
            ]
        ),
    )


def _facts(facts: dict[str, str]) -> Markup:
    pairs = [
        element("div", element("dt", name), element("dd", escaped(fact)))
        for name, fact in facts.items()
    ]
    return element("dl", lines(pairs), class_="facts")
