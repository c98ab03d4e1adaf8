"""Canaries come into the training part and nowhere else, for bytes and for characters."""

import pytest

from xentjax.data.canaries import CanaryFormat
from xentjax.jobs.canaries import plant_in_corpus
from xentjax.jobs.config import LanguageConfig
from xentjax.jobs.corpus import read_corpus


@pytest.mark.parametrize(
    ("kind", "data"),
    [("byte", b"a line\n\xff no UTF-8\n" * 400), ("char", "eine Zeile, schön\n".encode() * 400)],
)
def test_only_the_training_part_grows_by_the_planted_lines(tmp_path, kind, data):
    path = tmp_path / "text.txt"
    path.write_bytes(data)
    corpus = read_corpus(LanguageConfig(text=path, tokens=kind, block=8, batch_size=2))
    form = CanaryFormat("PIN € ", length=5)
    planted, canaries = plant_in_corpus(corpus, copies=[3, 1], form=form, seed=0)
    lines = [canary.encode() for canary in canaries]
    assert [planted.data["train"].split(b"\n").count(line) for line in lines] == [3, 1]
    # Three and one lines of "PIN € " (8 bytes), five digits and a line break.
    assert len(planted.data["train"]) == len(corpus.data["train"]) + 4 * 14
    for split in ("validation", "test"):
        assert planted.data[split] == corpus.data[split]
    for split, part in planted.data.items():
        text = planted.tokenizer.decode(planted.tokens[split])
        assert text == part.decode(errors="replace")
        assert len(planted.tokens[split]) == len(part if kind == "byte" else part.decode())
