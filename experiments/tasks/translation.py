"""What does attention bring to a translator, and for which sentences? Descriptions of pictures, German and English.

    python experiments/tasks/translation.py --data FOLDER                   55 minutes of one CPU core a form and seed
    python experiments/tasks/translation.py --data FOLDER --forms attention   the same, one of them
    python experiments/tasks/translation.py --data FOLDER --forms attention --direction en-de   English to German

FOLDER has Multi30k (Elliott et al. 2016, task 1) as train.de, train.en, val.de, ..., test_2016_flickr.en; there are no
other data and no vectors. The recipe is in multi30k_de_en.json; "no attention" is the same with the last states of the
encoder alone, which reads the source from its end (Sutskever et al. 2014). BLEU is that of sacrebleu (the extra), 13a,
in lower case. Given again with another form, direction or more --seeds, the command adds to the record of --out;
scores by width of the beam that a recorded run lacks are added, too, if the run is found in --runs.

Expected: 35.5 BLEU with attention and a beam of 5, one more than by the most likely word at each step; 20 without
attention, and less the longer the source; the loss tells the same story in nats. From English to German 33.
Training takes no more than 45 minutes on 2 cores. Wider beams find at least what narrower ones found, in the mean of
the model's own score.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from experiments.harness import Study, integer
from experiments.harness.runs import StudyRun, finished, lines_of, trained
from experiments.tasks.translation_findings import ROUNDING, findings
from lm_jax.config import TranslateConfig, from_flat, read_settings
from lm_jax.data.parallel import PairTokens
from lm_jax.inference.copying import write
from lm_jax.inference.translation import SearchSettings, pair_log_probs, translate_batch
from lm_jax.inference.translation_scores import TranslationScores, score_translations
from lm_jax.tasks import task_of
from lm_jax.tasks.translate import search_settings


RECIPE = Path(__file__).with_name("multi30k_de_en.json")
FORMS = {"attention": {}, "no attention": {"attention": "plain", "reverse_source": True}}
DIRECTIONS = ("de-en", "en-de")
BINS = ((1, 9), (10, 12), (13, 15), (16, 20), (21, 10**6))  # tokens of a source
SMOKE_BINS = ((1, 12), (13, 18), (19, 10**6))
WIDTHS, MEASURED = (1, 2, 5, 10), 200  # beams whose scores are compared; of the first test sentences
SMOKE = {"hidden_size": 8, "decoder_size": 8, "embedding_size": 8, "steps": 4, "log_every": 2, "beam_size": 2}
SMOKE |= {"level": "char", "min_count": 1, "lower": False}
STUDY = Study(
    __doc__,
    __file__,
    {
        "--data": {"help": "folder of Multi30k; default: dates made by the program"},
        "--forms": {"nargs": "*", "default": list(FORMS), "choices": list(FORMS), "help": "which translators"},
        "--direction": {"default": DIRECTIONS[0], "choices": DIRECTIONS, "help": "from and to which language"},
        "--seeds": integer(1),
    },
)


def named(form: str, direction: str) -> str:
    """A form by the name that it has in the record: with its direction, unless that is the recipe's."""
    return form if direction == DIRECTIONS[0] else f"{form}, {direction}"


def run_folder(name: str, seed: int) -> str:
    """The folder of a run: attention-0, attention-en-de-0."""
    return f"{name.replace(',', '').replace(' ', '-')}-{seed}"


def settings(form: str, arguments: argparse.Namespace, seed: int, direction: str = DIRECTIONS[0]) -> TranslateConfig:
    """The recipe, with the decoder of a form, in one direction."""
    changes = FORMS[form] | (SMOKE if arguments.smoke else {})
    config = from_flat(TranslateConfig, changes, read_settings(RECIPE, TranslateConfig))
    source, target = direction.split("-")
    data = dataclasses.replace(config.data, data=arguments.data, source=source, target=target)
    return dataclasses.replace(config, data=data, seed=seed)


def measure(form: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """What one translator has come to: scores of the test pairs, of all and by length of the source."""
    config, name = settings(form, arguments, seed, arguments.direction), named(form, arguments.direction)
    run = trained(config, arguments.runs / run_folder(name, seed))
    test = task_of(config).load(config, None).splits["test"]
    eol_id = run.vocabulary.target.eol_id
    nats = -pair_log_probs(run.model, run.params, test.sources, test.targets, eol_id)
    searches = {"greedy": SearchSettings(1), f"beam {config.beam_size}": search_settings(config)}
    texts = {name: translations(run, test, search) for name, search in searches.items()}
    lengths, best = test.source_lengths, texts[f"beam {config.beam_size}"]
    by_length = []
    for low, high in SMOKE_BINS if arguments.smoke else BINS:
        chosen = np.flatnonzero((lengths >= low) & (lengths <= high))
        if len(chosen):
            tokens = int(test.target_lengths[chosen].sum())
            scores = scored([best[k] for k in chosen], test, chosen, config.data.lower)._asdict()
            by_length.append({"length": float(lengths[chosen].mean()), "pairs": len(chosen), **scores})
            by_length[-1]["nats"] = float(nats[chosen].sum()) / tokens
    everything, lower = np.arange(len(lengths)), config.data.lower
    return {
        "form": name,
        "seed": seed,
        "parameters": run.results["parameters"],
        "seconds": run.results["seconds"],
        **run.cost,
        "nats": float(nats.sum()) / int(test.target_lengths.sum()),
        "searches": {name: scored(found, test, everything, lower)._asdict() for name, found in texts.items()},
        "cased": scored(best, test, everything, False)._asdict(),
        "by length": by_length,
        "widths": by_width(run, test, search_settings(config)),
        "curve": [line for line in lines_of(run.folder) if "valid_loss" in line],
        "examples": [[*test.pairs[k][:2], best[k]] for k in range(min(20, len(best)))],
    }


def by_width(run: StudyRun, test: PairTokens, search: SearchSettings) -> dict[str, Any]:
    """The score that the search ranks by, of its best hypotheses, by the width of the beam.

    It is that of the recipe, with its length penalty. "fell": the share of sentences whose score is lower than by the
    narrower beam before; None of the narrowest.
    """
    sources, before, beams = test.sources[:MEASURED], None, []
    for width in WIDTHS:
        eol_id, settings_ = run.vocabulary.target.eol_id, search._replace(beam_size=width)
        found = translate_batch(run.model, run.params, sources, eol_id, settings_)
        scores = np.array([best[0].score for best in found], float)
        fell = None if before is None else float(np.mean(scores < before - ROUNDING))
        beams.append({"beam": width, "score": float(scores.mean()), "fell": fell})
        before = scores
    return {"sentences": len(sources), "length penalty": search.length_penalty, "beams": beams}


def with_widths(result: dict[str, Any], form: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The result of a recorded run; with the scores by width, if it lacks them and the same run is found."""
    config = settings(form, arguments, result["seed"], arguments.direction)
    folder = arguments.runs / run_folder(result["form"], result["seed"])
    results = None if "widths" in result else finished(folder, config)
    if results is None or results["seconds"] != result["seconds"]:  # another run may lie there
        return result
    print(f"scores by width of the beam: {folder}", flush=True)
    test = task_of(config).load(config, None).splits["test"]
    return result | {"widths": by_width(trained(config, folder), test, search_settings(config))}


def translations(run: StudyRun, test: PairTokens, search: SearchSettings) -> list[str]:
    """The best translation of each source."""
    found = translate_batch(run.model, run.params, test.sources, run.vocabulary.target.eol_id, search)
    pairs = zip(test.pairs, found, strict=True)
    return [write(run.model, run.params, run.vocabulary, pair.source, one[0].tokens) for pair, one in pairs]


def scored(found: list[str], test: PairTokens, chosen: np.ndarray, lower: bool) -> TranslationScores:
    """Scores of translations of some of the pairs."""
    return score_translations(found, [test.pairs[k].target for k in chosen], lower)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains the forms and seeds asked for that the record lacks, and completes those that it has."""
    if not arguments.smoke and not arguments.data:
        raise SystemExit("give --data, the folder of Multi30k, or try --smoke")
    forms = {} if arguments.smoke else STUDY.recorded(arguments.out).get("forms", {})
    for form in arguments.forms:
        runs = forms.setdefault(named(form, arguments.direction), {})
        for seed in range(1 if arguments.smoke else arguments.seeds):
            known = runs.get(str(seed))
            runs[str(seed)] = with_widths(known, form, arguments) if known else measure(form, seed, arguments)
    signature = list(next(iter(next(iter(forms.values())).values()))["searches"].values())[-1]["signature"]
    return {"forms": forms, "signature": signature}


if __name__ == "__main__":
    STUDY.main(run, findings)
