"""The lines of several seeds that train together."""

import io

import pytest
from rich.console import Console

from lm_jax.cli.seeds_console import SeedsConsole
from lm_jax.runs.seeds import SeedResults
from lm_jax.training.listener import Score, Validation
from tests.cli.test_console import START, lines


SPLITS = {
    "valid": {
        "cross_entropy": {"mean": 2.5, "error": 0.01234},
        "perplexity": {"mean": 12.182, "error": 0.1512},
    }
}
RESULTS = SeedResults(["seed-3", "seed-4"], "checkpoints/many", "LSTM 1x8", False, SPLITS, 61.0, "train")


@pytest.fixture
def console():
    told = SeedsConsole()
    told.console = Console(file=io.StringIO(), highlight=False, width=200)
    told.on_start(START._replace(seeds=2))
    return told


def test_the_beginning_says_that_figures_are_means(console):
    assert "2 seeds: figures are means, after ± the standard error" in lines(console)


def test_a_validation_has_standard_errors(console):
    score = Score(0.693147, {"valid_perplexity": 2.0, "bits_per_byte": 0.8}, "")
    errors = {"loss": 0.00123, "valid_perplexity": 0.025, "bits_per_byte": 0.001}
    console.on_validation(Validation(1500, score, True, sample="one", error=errors))
    console.on_validation(Validation(1500, score, True, sample="of one that is left"))
    first, _, second, _ = lines(console)[-4:]
    assert first == (
        "  valid after step 1,500: loss 0.6931 ± 0.0012, perplexity 2.0000 ± 0.0250, "
        "bits per byte 0.8000 ± 0.0010  * best so far"
    )
    assert second == ("  valid after step 1,500: loss 0.6931, perplexity 2.0000, bits per byte 0.8000  * best so far")


def test_the_end_is_a_table_of_means_and_the_next_command(console):
    console.on_end(RESULTS)
    *_, header, row, wall, following = lines(console)
    assert header.split() == ["split", "model", "seeds", "cross", "entropy", "perplexity"]
    assert "2.500 ± 0.012" in row and "12.18 ± 0.15" in row
    assert wall == "2 seeds in 1:01 of wall time; each is a run: checkpoints/many/seed-3 to seed-4"
    assert following == "next: lm-jax compare checkpoints/many/seed-3 checkpoints/many/seed-4"


def test_a_stop_says_how_each_goes_on(console):
    console.on_end(RESULTS._replace(stopped=True, splits={}))
    assert lines(console)[-2:] == [f"  lm-jax train --resume checkpoints/many/seed-{n}" for n in (3, 4)]
