"""Heads of sections: what each danger is called and what a careful person asks about it.

One place, because the table of dangers needs them before a section is loaded, or where it cannot
be, and the sections themselves wherever they are called.
"""

from typing import NamedTuple


class Head(NamedTuple):
    """The head of a section.

    Attributes:
        key: one word, as it is asked for.
        title: what it is called in the report.
        question: what a careful person asks.
    """

    key: str
    title: str
    question: str


OVERFITTING = Head(
    "overfitting",
    "Overfitting",
    "Has the model learned the subject, too little of it, or its training data by heart?",
)
CALIBRATION = Head(
    "calibration",
    "Overconfidence",
    "When the model says it is 90 % sure, is it right nine times of ten?",
)
FAIRNESS = Head(
    "fairness",
    "Unequal treatment",
    "Is there a class or a group of rows that the model serves worse than the rest?",
)
DATA = Head(
    "data",
    "Data quality",
    "Are the data fit to be learned from, and the test rows fit to judge by?",
)
PRIVACY = Head(
    "privacy",
    "Membership",
    "Can it be told from the model which rows it was trained on?",
)
ATTRIBUTION = Head(
    "attribution",
    "Unexplained decisions",
    "What does an answer hang on, and can the explanation be believed?",
)
ROBUSTNESS = Head(
    "robustness",
    "Fragile answers",
    "How little must change before the answers do?",
)

LANGUAGE_CALIBRATION = Head(
    "calibration",
    "Overconfidence",
    "When the model says that a token comes with 90 %, does it come nine times of ten?",
)
LANGUAGE_FAIRNESS = Head(
    "fairness",
    "Unequal service",
    "Is there a kind of text that the model predicts worse than the rest?",
)
LANGUAGE_DATA = Head(
    "data",
    "Data quality",
    "Is the held-out text new to the model, or does train have it word for word?",
)
LANGUAGE_MEMORIZATION = Head(
    "memorization",
    "Memorized text",
    "Can what the model was trained on be told from what it says?",
)
LANGUAGE_ATTRIBUTION = Head(
    "attribution",
    "What it looks at",
    "Which tokens does the model find hard, and what does it use to predict them?",
)
LANGUAGE_ROBUSTNESS = Head(
    "robustness",
    "Damaged input",
    "How much worse does the model get when what it reads has errors?",
)
