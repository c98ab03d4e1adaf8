"""The page is valid, needs nothing from outside, and lets no text become markup."""

import base64
import html
import re
from html.parser import HTMLParser

import pytest

from tests.audit.reports import HOSTILE, SVG, full_section, hostile_report, make_report
from xentjax.audit.markup import printable
from xentjax.audit.page import page, write_html
from xentjax.audit.page_section import anchor
from xentjax.audit.report import WORDS
from xentjax.audit.section import Grid, Measure, Section, worst

ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "nav", "article"),
    *("footer", "h1", "h2", "h3", "p", "div", "span", "a", "code", "dl", "dt", "dd", "ol", "ul"),
    *("li", "table", "thead", "tbody", "tr", "th", "td", "figure", "img", "figcaption"),
    *("svg", "path", "line", "circle"),
}
VOID = {"meta", "img"}


class Reader(HTMLParser):
    """Checks that tags nest; collects elements, ids, links and the text of the page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), (tag, names)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    def all(self, name):
        return [attrs[name] for _, attrs in self.elements if name in attrs]


@pytest.fixture(params=["plain", "hostile", "empty"])
def report(request):
    if request.param == "hostile":
        return hostile_report()
    return make_report([] if request.param == "empty" else [full_section(), full_section()])


def test_every_tag_is_closed_ids_are_unique_and_links_arrive(report):
    read = Reader(page(report))
    ids = read.all("id")
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*", each) for each in ids)
    links = [link.removeprefix("#") for link in read.all("href")]
    assert set(links) <= set(ids)
    assert set(read.all("aria-labelledby")) <= set(ids)


def test_nothing_is_fetched_and_nothing_runs(report):
    text = page(report)
    read = Reader(text)
    assert {tag for tag, _ in read.elements} <= ALLOWED
    attributes = {name for _, attrs in read.elements for name in attrs}
    assert not {name for name in attributes if name.startswith("on") or name == "style"}
    assert all(link.startswith("#") for link in read.all("href"))
    assert all(source.startswith("data:image/svg+xml;base64,") for source in read.all("src"))
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    policies = [
        attrs["content"]
        for _, attrs in read.elements
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none';")
    assert "script" not in policies[0]


def test_hostile_text_is_shown_as_it_was_written_wherever_it_stands():
    read = Reader(page(hostile_report()))
    shown, wanted = "".join(read.text).replace("\xa0", " "), printable(HOSTILE)
    # Above the sections 7: title twice, run, model, data, sizes and date. In the footer 8: command,
    # data and its hash, seeds, device, a version's name and number, date. Of a section: title and
    # finding in the overview; title, question and finding; 4 measures' names, a unit with its value
    # and its interval, 3 goods; of the table title, column, cell and note; of the picture title and
    # caption; of the text title, piece and caption; one advice and one unmeasured.
    assert shown.count(wanted) == 15 + 3 * (2 + 3 + 4 + 2 + 3 + 4 + 2 + 3 + 2)
    # Attributes too: the picture's words for those who cannot see it, the table's label.
    assert read.all("alt") == [wanted] * 3
    assert read.all("aria-label") == [wanted] * 3
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", shown)


def test_the_file_is_utf_8_without_what_html_forbids(tmp_path):
    write_html(hostile_report(), tmp_path / "audit.html")
    text = (tmp_path / "audit.html").read_bytes().decode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


def test_pictures_travel_inside_with_their_caption_as_text():
    read = Reader(page(make_report([full_section("what is seen")])))
    [source], [words] = read.all("src"), read.all("alt")
    assert base64.b64decode(source.split(",")[1]).decode() == SVG
    assert words == "what is seen"


def test_the_overview_has_a_line_a_danger_with_its_verdict_in_words_and_shape():
    verdicts = ["act", "watch", "good", "unmeasured"]
    sections = [
        Section(v, f"Danger {v}", "Is it?", v, f"Finding of {v}.")  # type: ignore[arg-type]
        for v in verdicts
    ]
    text = page(make_report(sections))
    overview = text[text.index('<ol class="overview">') : text.index("</ol>")]
    shapes = set()
    for line, verdict in zip(overview.split("<li>")[1:], verdicts, strict=True):
        words = "".join(Reader(f"<li>{line.strip()}").text)
        assert words.split("\n")[0] == f"{WORDS[verdict]}Danger {verdict}Finding of {verdict}."
        shapes.add("".join(re.findall(r' d="([^"]+)"', line)))
    assert len(shapes) == 4


def test_the_overview_leaves_a_long_finding_to_its_section():
    finding = "It was wrong 0.5 times. " + "It was wrong again. " * 20 + "The end."
    text = page(make_report([Section("k", "t", "q", "act", finding)]))
    assert text.count("It was wrong 0.5 times. It was wrong again.") == 2
    assert text.count("The end.") == 1


def test_measures_show_value_interval_and_what_is_good():
    shown = "".join(Reader(page(make_report([full_section("x")]))).text)
    for words in ("4.8 %", "3.1 to 6.6 %", "−0.30", "not a number", "no interval"):
        assert words in shown, words


def test_a_key_becomes_a_readable_anchor():
    assert anchor(3, "Data quality!") == "section-3-data-quality"
    assert anchor(1, "Ünïcödé<>") == "section-1-n-c-d"
    assert anchor(2, "") == "section-2"


def test_the_ids_of_equal_keys_differ():
    ids = Reader(page(make_report([full_section(), full_section()]))).all("id")
    assert {"section-1-calibration", "section-2-calibration"} <= set(ids)


def test_words_are_not_escaped_twice():
    section = Section("k", "a & b", "q", "good", "p < 0.05 & n > 3")
    shown = "".join(Reader(page(make_report([section]))).text)
    assert "p < 0.05 & n > 3" in shown
    assert html.escape("&") not in shown


def test_a_number_that_is_not_judged_gets_no_praise():
    judged, told = Measure("a", 1.0, verdict="good"), Measure("b", 3254.0)
    text = page(make_report([Section("k", "t", "q", worst([None, "good"]), "f", [judged, told])]))
    body = text[text.index("<tbody>") : text.index("</tbody>")]
    first, second = body.strip().removeprefix("<tbody>").strip().split("\n")
    assert 'class="badge good"' in first
    assert "badge" not in second
    assert "to compare with" in second
    assert worst([None]) == "unmeasured"


def test_figures_in_sentences_have_minus_signs_and_words_keep_their_hyphens():
    section = Section(
        "k", "t", "q", "good", "It is -0.3 (-0.5 to -0.1) on 2026-01-31, UTF-8, x=-1."
    )
    shown = "".join(Reader(page(make_report([section]))).text)
    assert "It is −0.3 (−0.5 to −0.1) on 2026-01-31, UTF-8, x=-1." in shown


def test_texts_that_are_figures_stand_right_and_short_ones_on_one_line():
    rows = [["a b", "0.5 %", "1 (0 to 2)"], ["c", "12.0 %", "a long text " * 4]]
    section = Section("k", "t", "q", "good", "f", grids=[Grid("g", ["x", "y", "z"], rows)])
    text = page(make_report([section]))
    assert '<th scope="col" class="number">y</th><th scope="col">z</th>' in text
    assert '<td class="short">a b</td><td class="number">0.5\xa0%</td>' in text
    assert '<td class="short">1 (0 to 2)</td>' in text
    assert "<td>a long text" in text


def test_every_section_that_was_measured_says_what_to_do_next():
    for verdict in ("good", "watch"):
        section = Section("k", "t", "q", verdict, "f")
        assert "What to do next" in page(make_report([section]))


def test_a_name_that_is_read_from_the_right_reorders_no_number_beside_it():
    name = "\u05d0\u05d1 \u05d2"
    html = page(make_report([full_section(words=f"class {name} 5 of 9")]))
    assert f"class <bdi>{name}</bdi> 5 of 9" in html
    assert "<bdi>" not in page(make_report([full_section(words="class é 5 of 9")]))
