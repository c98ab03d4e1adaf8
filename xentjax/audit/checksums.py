"""Checksums: numbers that carry their own proof, so that few other numbers pass for them."""

import re

# First digits and lengths by issuer. Without them one in ten numbers of 16 digits, and one in ten
# ISBNs of 13, would pass for a card.
_ISSUERS = (
    (r"4", (13, 16, 19)),
    (r"5[1-5]|22[2-9]|2[3-6]|27[01]|2720", (16,)),
    (r"3[47]", (15,)),
    (r"6011|65|64[4-9]", (16, 19)),
    (r"30[0-5]|36|38", (14,)),
    (r"35(2[89]|[3-8])", (16,)),
    (r"62", (16, 17, 18, 19)),
)


def is_luhn(digits: str) -> bool:
    """Every second digit from the right doubled, its digits summed: a multiple of ten.

    Example:
        >>> is_luhn("79927398713"), is_luhn("79927398710")
        (True, False)
    """
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def is_card(words: str) -> bool:
    """A credit card number: an issuer's first digits and length, and Luhn's check digit.

    Args:
        words: digits with spaces or hyphens among them.

    Example:
        >>> is_card("4111 1111 1111 1111"), is_card("1111 1111 1111 1117")
        (True, False)
    """
    digits = "".join(filter(str.isdigit, words))
    issued = any(re.match(first, digits) and len(digits) in n for first, n in _ISSUERS)
    return issued and is_luhn(digits)


def is_iban(words: str) -> bool:
    """An account number with country and check digits: remainder 1 modulo 97.

    Args:
        words: capital letters and digits, with spaces among them.

    Example:
        >>> is_iban("GB82 WEST 1234 5698 7654 32"), is_iban("GB83 WEST 1234 5698 7654 32")
        (True, False)

    Reference:
        ISO 13616-1, International Bank Account Number, 2020.
    """
    compact = words.replace(" ", "")
    if not 15 <= len(compact) <= 34:
        return False
    turned = compact[4:] + compact[:4]
    return int("".join(str(int(c, 36)) for c in turned)) % 97 == 1
