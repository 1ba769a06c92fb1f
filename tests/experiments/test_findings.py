"""What studies say of runs that their records do not have: parts left out, as in a smoke test, and parts added."""

import copy
import re

import numpy as np
import pytest

from experiments.benchmarks.speed_findings import findings as speed
from experiments.harness.study import RESULTS
from experiments.language_models.perplexity_ladder_findings import findings as ladder
from experiments.language_models.published_findings import findings as published
from experiments.tasks.noisy_channel_findings import findings as noisy_channel
from experiments.tasks.sentiment_findings import CELLS, POOLINGS
from experiments.tasks.sentiment_findings import findings as sentiment
from experiments.tasks.speech_findings import findings as speech
from experiments.tasks.tagging_findings import findings as tagging
from experiments.tasks.translation_findings import findings as translation
from lm_jax.report.study import read_record


NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[-+]?\d+)?")


def results_of(study):
    return copy.deepcopy(read_record(RESULTS / study, study.partition("/")[2]).results)


def holds(found):
    """What became of each part; the answer must be short, and every column explained."""
    assert len(found.answer.split()) <= 25 and len(NUMBER.findall(found.answer)) <= 3
    assert {name for table in (found.rows, found.means) for row in table for name in row} <= found.columns.keys()
    return [verdict.holds for verdict in found.verdicts]


def test_parts_that_have_not_been_run_are_not_measured():
    results = results_of("language_models/published")
    results["recipes"] = {"shakespeare": results["recipes"]["shakespeare"]}
    assert holds(published(results)) == [None, None, None, False]


def test_a_short_ladder():
    results = results_of("language_models/perplexity_ladder")
    kept = ("1-gram", "3-gram-katz", "5-gram", "window-4", "lstm", "5-gram + cache + LSTM")
    results["rows"] = [row for row in results["rows"] if row["name"] in kept]
    assert holds(ladder(results)) == [None, None, None, True, True]


def test_taggers_beside_the_recipe():
    results = results_of("tasks/tagging")
    for name, lost, unseen in (("words alone", 0.015, 0.2), ("left to right", 0.03, 0.0), ("crf", -0.001, 0.0)):
        run = copy.deepcopy(results["models"]["softmax"]["0"])
        run["rows"][-1]["accuracy"] -= lost
        run["rows"][-1]["unseen_accuracy"] -= unseen
        results["models"][name] = {"0": run}
    assert holds(tagging(results)) == [True, True, True, False, True, True]


def test_the_grid_of_the_classifier():
    results = results_of("tasks/sentiment")
    results["runs"] = [run for run in results["runs"] if run["model"] == "recipe"]
    run = {"seed": 0, "train": 0.9, "valid": 0.8, "parameters": 1, "seconds": 1.0, "naive Bayes": 0.8, "curve": []}
    assert holds(sentiment(results)) == [True, True, None, None, None]
    for k, cell in enumerate(CELLS):
        for pooling in POOLINGS:
            accuracy = 0.80 + 0.005 * k - 0.02 * (pooling == "last")
            results["runs"].append({"model": f"{cell} both ways {pooling}", "test": accuracy, **run})
    assert holds(sentiment(results)) == [True, True, True, True, None]
    for accuracy, reached in ((0.80, False), (0.90, True)):  # their mean is 0.85
        results["runs"].append({"model": "recipe from a language model", "test": accuracy, **run})
        assert holds(sentiment(results))[-1] == reached


def first_seeds():
    """The record of translation with one seed of each form, and without what only some runs have."""
    results = results_of("tasks/translation")
    for form, runs in results["forms"].items():
        results["forms"][form] = {"0": {name: value for name, value in runs["0"].items() if name != "widths"}}
    return results


@pytest.mark.parametrize("bleu", [True, False])
def test_translators_with_and_without_attention(bleu):
    """Without the extra of BLEU exact translations are what is told."""
    results = first_seeds()
    forms = results["forms"]
    forms["no attention"] = {"0": copy.deepcopy(forms["attention"]["0"]) | {"form": "no attention"}}
    for search in forms["no attention"]["0"]["searches"].values():
        search["bleu"] = 20.0
    if not bleu:
        for run in (run for runs in forms.values() for run in runs.values()):
            for scores in (*run["searches"].values(), *run["by length"]):
                scores["bleu"] = scores["chrf"] = None
    forms["attention, en-de"]["0"]["seconds"] = 45 * 60 + 1.0
    expected = [True] * 5 if bleu else [None] * 5
    found = translation(results)
    assert holds(found) == [*expected, False, None] and ("BLEU" in found.answer) == bleu


def test_translators_of_several_seeds_are_told_by_their_mean():
    results = results_of("tasks/translation")
    runs = results["forms"]["attention"] = {"0": results["forms"]["attention"]["0"]}
    runs["1"] = copy.deepcopy(runs["0"]) | {"seed": 1}
    for bleu, run in zip((40.0, 42.0), runs.values(), strict=True):
        run["searches"]["beam 5"]["bleu"] = bleu
    found = translation(results)
    row = next(row for row in found.means if row["form"] == "attention" and row["search"] == "beam 5")
    # two values, 2 apart: a standard error of 1, and Student's t of one degree of freedom, 12.71
    assert "41.0 BLEU" in found.answer and row["bleu"] == "41 [28.29, 53.71]" and row["n"] == 2


def test_what_was_published_for_translators_and_taggers_stands_in_the_tables_of_ours():
    for found, key, column, numbers in (
        (translation(first_seeds()), "form", "bleu", {"38.4", "35.2", "28.3"}),
        (tagging(results_of("tasks/tagging")), "model", "test accuracy", {"95.48 %", "94.4 %"}),
    ):
        published = [row for row in found.means if row["source"].startswith("published")]
        assert {row[column] for row in published} == numbers and all(row["n"] is None for row in published)
        assert len({tuple(row) for row in found.means}) == 1  # one table, which the page splits where columns differ
        assert {row[key] for row in found.means if row["source"] == "this study"} >= {row[key] for row in found.rows}


def test_the_page_of_tagging_says_why_constrained_decoding_has_no_row():
    found = tagging(results_of("tasks/tagging"))
    assert not any("constrained" in row["model"] for row in (*found.rows, *found.means))
    assert "Constrained decoding has no row: between UPOS tags every transition is legal" in found.columns["model"]


def test_the_signature_of_sacrebleu_stands_where_bleu_is_explained():
    results = results_of("tasks/translation")
    found = translation(results)
    assert found.columns["bleu"].endswith(f"signature {results['signature']}") and "|case:lc|" in results["signature"]
    assert found.columns["bleu, cased"].count("signature") == 1 and "|case:mixed|" in found.columns["bleu, cased"]
    cased = {row["bleu, cased"] for row in found.rows} - {None}
    assert cased == {run["cased"]["bleu"] for runs in results["forms"].values() for run in runs.values()}
    row = next(row for row in found.means if row["form"] == "no attention" and row["search"] == "beam 5")
    seeds = [run["cased"]["bleu"] for run in results["forms"]["no attention"].values()]
    assert row["bleu, cased"].startswith(f"{sum(seeds) / len(seeds):.4g} [")
    for run in (run for runs in results["forms"].values() for run in runs.values()):
        for scores in (*run["searches"].values(), run["cased"]):
            scores["signature"] = ""
    assert "signature" not in " ".join(translation(results).columns.values())  # without the extra
    results = results_of("tasks/noisy_channel")
    assert noisy_channel(results).columns["bleu"].endswith(f"signature {results['signature']}")


def test_processor_seconds_are_told_beside_wall_seconds_where_they_are_known():
    results = first_seeds()
    assert all("processor seconds" not in row for row in (*translation(results).rows, *translation(results).means))
    fastest = results["forms"]["attention, en-de"]["0"]
    fastest |= {"seconds": 3000.0, "processor seconds": 5400.0, "machine": "a processor, 2 cores"}
    found = translation(results)
    holds(found)
    assert [row["processor seconds"] for row in found.rows if "processor seconds" in row] == [5400.0, 5400.0]
    rows = {(row["form"], row["search"]): row for row in found.means}
    assert rows["attention, en-de", "beam 5"]["processor seconds"] == "5400"
    assert rows["no attention", "beam 5"]["processor seconds"] == "-"
    assert found.verdicts[-2].found == (
        "50.0 minutes (90.0 of processor time), missed by 5.0 minutes, on a processor, 2 cores"
    )
    results = results_of("tasks/tagging")
    results["models"]["crf"] = {"0": results["models"]["crf"]["0"]}
    results["models"]["crf"]["0"] |= {"processor seconds": 900.0, "machine": "a processor, 2 cores"}
    found = tagging(results)
    holds(found)
    assert {row["model"]: row["processor seconds"] for row in found.means}["crf"] == "900"
    assert found.verdicts[-1].found.startswith("7.9 minutes") and "machine" not in found.rows[-1]


def test_scores_by_width_of_the_beam_are_judged_where_they_were_measured():
    results = first_seeds()
    beams = [{"beam": 1, "score": -0.61, "fell": None}, {"beam": 2, "score": -0.58, "fell": 0.015}]
    beams += [{"beam": 5, "score": -0.57, "fell": 0.02}]
    runs = results["forms"]["attention"]
    runs["0"]["widths"] = {"sentences": 200, "length penalty": 1.0, "beams": beams}
    found = translation(results)
    assert holds(found)[-1] and found.verdicts[-1].found == (
        "attention: -0.6100, -0.5800, -0.5700 for beams of 1, 2, 5, lower than by the narrower for at most 2.0%"
    )
    table = [row for row in found.means if "beam" in row]
    assert [(row["beam"], row["own score"], row["fell"]) for row in table] == [
        (1, "-0.61", "-"),
        (2, "-0.58", "1.5 %"),
        (5, "-0.57", "2.0 %"),
    ]
    assert {row["form"] for row in table} == {"attention"} and {row["n"] for row in table} == {1}
    worse = copy.deepcopy(beams)
    worse[2]["score"] = -0.59
    widths = {"sentences": 200, "length penalty": 1.0, "beams": worse}
    runs["1"] = copy.deepcopy(runs["0"]) | {"seed": 1, "widths": widths}
    assert holds(translation(results))[-1] is False  # the mean of both runs still rises: each run is judged


def test_speech_at_two_levels_draws_where_attention_looked():
    results = results_of("tasks/speech")
    results["rows"] = [row for row in results["rows"] if row["dB"] in (-15, 20)]
    results["example"] = {
        "dB": 10,
        "digits": [4, 3],
        "words": [[0.1, 0.2], [0.3, 0.4]],
        "hop": 0.01,
        "half_frame": 0.0125,
        "stack": 4,
        "centres": np.linspace(100, 3600, 32).tolist(),
        "heard": np.ones((40, 32)).tolist(),
        "weights": np.full((2, 10), 0.1).tolist(),
    }
    found = speech(results)
    assert holds(found)[1] is None and all(picture.figure is not None for picture in found.pictures)


def test_without_torch_speed_is_told_beside_the_plain_scan():
    results = results_of("benchmarks/speed")
    for row in results["results"].values():
        for name in ("ratio_of_minima",):
            row[name] = {peer: value for peer, value in row[name].items() if "torch" not in peer}
    found = speed(results)
    assert holds(found) == [None] * 4 and "lm_jax scan" in found.answer


def test_the_noisy_channel_is_judged_on_the_test_pairs():
    gains = {"direct, beam 5": 0.0, "reverse alone": -2.0, "channel + language model": -1.0, "direct + reverse": 0.8}
    gains |= {"direct + language model": 0.1, "all": 1.0, "oracle": 9.5}
    scores = {
        name: {"bleu": 40 + gain, "chrf": 59.0, "exact": 0.04, "value": 40 + gain}
        | {"difference": {"estimate": gain, "low": gain - 0.2, "high": gain + 0.2}}
        for name, gain in gains.items()
    }
    result = {"direction": "de-en", "seed": 0, "beam": 20, "base": "direct, beam 5", "measure": "BLEU"}
    result |= {"weights": {"all": {"direct": 1.0, "reverse": 0.5}}, "valid": scores, "test": scores}
    found = noisy_channel({"directions": {"de-en": result}})
    assert holds(found) == [True] * 4 and len(found.means) == len(gains) and len(found.rows) == 2 * len(gains)
    other = copy.deepcopy(result) | {"direction": "en-de"}
    other["test"]["all"]["difference"]["estimate"] = -0.02
    both = noisy_channel({"directions": {"de-en": result, "en-de": other}})
    assert holds(both) == [False, True, True, True] and "+1.00 (de-en), -0.02 (en-de)" in both.answer
