"""The study of language: bits at equal time, and what its table says."""

import pytest

from experiments.recurrences.architectures import TWELVE, build, carry_bytes
from experiments.recurrences.language_findings import at_time, by_network, findings, to_rows
from experiments.recurrences.reading import DEFAULT, text_name


def one(network, seconds, bits, text=DEFAULT, seed=0):
    speeds = {"seconds_a_step": seconds, "trained": 1000 / seconds, "generated": 100 / seconds}
    sizes = {"parameters": 10, "state": 8, "carry_bytes": 64 if network == "attention" else 32}
    history = [[50 * (k + 1), value] for k, value in enumerate(bits)]
    return {"text": text, "network": network, "seed": seed, "history": history, **speeds, **sizes}


def test_equal_time_is_that_of_the_fastest():
    rows = to_rows([one("rnn", 1.0, [3.0, 2.0]), one("lru", 2.0, [2.5, 1.9]), one("mlstm", 3.0, [2.0, 1.0])])
    assert [row["at equal time"] for row in rows] == [2.0, 2.5, None]  # after 100 seconds: 100, 50 and 33 steps
    assert by_network(rows, "at equal time") == {"rnn": 2.0, "lru": 2.5}
    assert at_time(one("rnn", 1.0, [3.0, 2.0]), 99) == 3.0


def test_verdicts_are_of_the_default_text():
    bits = {name: [3.0, 2.0 + 0.01 * k] for k, name in enumerate(TWELVE)} | {"rnn": [3.0, 2.5]}
    measured = [one("rnn", 1.0, [1.0, 0.5], text="another")]
    measured += [one(name, 2.0 if name == "attention" else 1.0, own) for name, own in bits.items()]
    found = findings({"measured": measured})
    assert [part.holds for part in found.verdicts] == [True, True, True, True, True]
    assert "2.50 (RNN)" in found.answer and len(found.rows) == 13
    assert [row["text"] for row in found.means][-1] == "another"
    fewer = findings({"measured": measured[:3]})
    assert fewer.verdicts[0].holds is None


def test_the_carry_is_counted_in_bytes():
    assert carry_bytes(build("lstm", 5, 8)) == 2 * 2 * 8 * 4
    assert carry_bytes(build("attention", 5, 8, context=4)) == 2 * (2 * 3 * 8 + 1) * 4  # and how much is filled


@pytest.mark.parametrize("place", ["folder", "folder/input.txt"])
def test_a_text_is_named_by_its_folder(tmp_path, place):
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if place == "folder" else path.touch()
    assert text_name(str(path), "char") == "folder by char" and text_name(None) == DEFAULT
