"""The lines of several seeds that train together."""

import io

import pytest
from rich.console import Console

from lm_jax.report.seeds_console import SeedsConsole
from tests.report.test_report import FACTS, lines


RESULTS = {
    "runs": ["seed-3", "seed-4"],
    "run": "checkpoints/many",
    "model": "LSTM 1x8",
    "stopped": False,
    "splits": {
        "valid": {
            "cross_entropy": {"mean": 2.5, "error": 0.01234},
            "perplexity": {"mean": 12.182, "error": 0.1512},
        }
    },
    "cost": 2.04,
    "seconds": 61.0,
}


@pytest.fixture
def console():
    told = SeedsConsole()
    told.console = Console(file=io.StringIO(), highlight=False, soft_wrap=True, width=80)
    told.start({**FACTS, "seeds": 2})
    return told


def test_the_beginning_says_that_figures_are_means(console):
    assert "2 seeds: figures are means, after ± the standard error" in lines(console)


def test_a_validation_has_standard_errors(console):
    record = {"step": 1500, "valid_loss": 0.693147, "valid_perplexity": 2.0, "best": True, "bits_per_byte": 0.8}
    console.validation({**record, "valid_loss_error": 0.00123, "valid_perplexity_error": 0.025}, "one")
    console.validation(record, "of one that is left")
    first, _, second, _ = lines(console)[-4:]
    assert first == "  valid after step 1,500: loss 0.6931 ± 0.0012, perplexity 2.000 ± 0.03, 0.800 bits per byte"
    assert second == "  valid after step 1,500: loss 0.6931, perplexity 2.000, 0.800 bits per byte"


def test_the_end_is_a_table_of_means_and_the_next_command(console):
    console.end(RESULTS)
    *_, header, row, wall, following = lines(console)
    assert header.split() == ["split", "model", "seeds", "nats/token", "perplexity"]
    assert "2.5000 ± 0.0123" in row and "12.18 ± 0.15" in row
    assert wall == "2 seeds in 1:01 of wall time, 2.0 times the steps of one seed; each is a run: " + (
        "checkpoints/many/seed-3 to seed-4"
    )
    assert following == "next: lm-jax generate checkpoints/many/seed-3"


def test_a_stop_says_how_each_goes_on(console):
    console.end({**RESULTS, "stopped": True, "splits": {}, "cost": None})
    assert lines(console)[-2:] == [f"  lm-jax train --resume checkpoints/many/seed-{n}" for n in (3, 4)]
