"""Planted personal data is found and named; what only looks like it is left alone."""

import random

import pytest

from xentjax.audit.personal_data import find_personal_data
from xentjax.data import load_manual

PLANTED = [
    ("e-mail address", "ada.lovelace+news@mail.example.org"),
    ("e-mail address", "x_1@example.co"),
    ("URL with a user name", "https://ada:secret@example.org/home"),
    ("URL with a user name", "http://www.example.edu/~lovelace"),
    ("URL with a user name", "ftp://ada@ftp.example.org"),
    ("IBAN", "DE89 3704 0044 0532 0130 00"),
    ("IBAN", "GB82WEST12345698765432"),
    ("IBAN", "NO93 8601 1117 947"),
    ("credit card number", "4111 1111 1111 1111"),
    ("credit card number", "5555-5555-5555-4444"),
    ("credit card number", "378282246310005"),
    ("credit card number", "30569309025904"),
    ("US social security number", "123-45-6789"),
    ("IPv4 address", "192.168.0.255"),
    ("IPv4 address", "8.8.8.8"),
    ("IPv6 address", "2001:0db8:85a3:0000:0000:8a2e:0370:7334"),
    ("IPv6 address", "fe80::1"),
    ("IPv6 address", "2001:db8::"),
    ("phone number", "+49 30 901820"),
    ("phone number", "+1 (212) 555-0187"),
    ("phone number", "+442071838750"),
    ("phone number", "(212) 555-0187"),
    ("phone number", "212-555-0187"),
    ("full date", "1915-12-10"),
    ("full date", "28.02.1999"),
    ("full date", "12/31/1987"),
    ("full date", "29.2.2000"),
]

NEAR_MISSES = [
    "3.11.7",  # three parts
    "1.2.3.4.5",  # five
    "256.1.1.1",
    "1.2.3.400",
    "v1.2.3.4",
    "4111 1111 1111 1112",  # Luhn fails
    "978-0-306-40615-7",  # an ISBN
    "9780306406157",
    "1609459200000",  # a time in milliseconds
    "DE88 3704 0044 0532 0130 00",  # remainder is not 1
    "GB82 WEST 1234",  # too short
    "000-12-3456",
    "666-12-3456",
    "900-12-3456",
    "123-00-6789",
    "123-45-0000",
    "123-45-67890",
    "items[1::2]",
    "s[100::200]",
    "a::b",
    "std::add",
    "12:30:45",
    "{1: 2: 3}",
    "@property",
    "name@host",  # no domain
    "matrix @ vector.T",
    "a @decorator.with_dots",
    "https://docs.python.org/3/library/re.html",
    "http://localhost:8080/~",
    "3.14159265358979",
    "+1.5",
    "1 + 2345678901",
    "30.02.1999",  # no such day
    "29.02.1900",  # no leap year
    "13/13/1990",
    "1815-12-10",  # before 1900
    "2001-13-01",
    "10.12.19",
    "1915-12-10T12",  # part of a longer word
]


@pytest.mark.parametrize(("kind", "words"), PLANTED)
@pytest.mark.parametrize("around", ["{}", "Call {}.", "x = '{}', y", "({})", "see <{}>; and"])
def test_what_is_planted_is_found_whole(kind, words, around):
    text = around.format(words)
    found = find_personal_data(text)
    assert [(hit.kind, hit.text) for hit in found] == [(kind, words)]
    assert text[found[0].start : found[0].stop] == words


@pytest.mark.parametrize("words", NEAR_MISSES)
def test_near_misses_are_left_alone(words):
    assert find_personal_data(f"so {words} it is") == ()


def test_an_iban_ends_where_its_check_digits_say():
    found = find_personal_data("DE89 3704 0044 0532 0130 00 EUR ONLY")
    assert [hit.text for hit in found] == ["DE89 3704 0044 0532 0130 00"]


def test_check_digits_let_through_as_few_as_they_should():
    rng = random.Random(0)
    numbers = ["4" + "".join(rng.choices("0123456789", k=15)) for _ in range(2000)]
    passed = sum(bool(find_personal_data(f"n {number} n")) for number in numbers)
    # Luhn passes one in ten: Binomial(2000, 0.1) leaves [147, 255] with probability 1e-4.
    assert 147 <= passed <= 255
    ibans = ["DE" + "".join(rng.choices("0123456789", k=20)) for _ in range(5000)]
    passed = sum(bool(find_personal_data(f"n {iban} n")) for iban in ibans)
    # One in 97: Binomial(5000, 1/97) leaves [27, 83] with probability 1e-4.
    assert 27 <= passed <= 83


def test_memorized_is_what_stands_in_the_training_text():
    text = "ask ada@example.org or bob@example.org"
    found = find_personal_data(text, training_text="from: ada@example.org\n")
    assert [hit.memorized for hit in found] == [True, False]
    assert [hit.memorized for hit in find_personal_data(text)] == [None, None]


def test_overlaps_are_reported_once():
    found = find_personal_data("https://ada@example.org/x ada@example.org")
    assert [hit.kind for hit in found] == ["URL with a user name", "e-mail address"]


def test_a_manual_full_of_slices_and_versions_holds_little(report_figure):
    found = find_personal_data(load_manual().text)
    report_figure(f"personal data in the manual: {[(hit.kind, hit.text) for hit in found]}")
    # 450,000 characters of documentation: some example addresses, no flood.
    assert len(found) < 20
