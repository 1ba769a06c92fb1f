"""A few hundred seeded damages of each kind of file; `python -m tests.fuzz` tries as many as there is time for."""

import pytest

from tests.fuzz.targets import TARGETS, attempt


TRIES = {"run": 60, "settings": 150, "corpus": 300, "arpa": 400, "tables": 200, "safetensors": 400, "table": 60}


@pytest.mark.parametrize("name", TARGETS)
def test_damage_is_refused_in_one_line_or_read(name, tmp_path):
    refused = sum(attempt(name, seed, tmp_path) is not None for seed in range(TRIES[name]))
    assert refused > TRIES[name] / 20  # the damage reaches what is checked


def test_a_damaged_name_does_not_make_an_order_less(tmp_path):
    """An archive in which words_3 has another name was read as tables of bigrams: other numbers in silence."""
    assert "an array 'log_prob_3', which no tables have" in str(attempt("tables", 106506, tmp_path))
