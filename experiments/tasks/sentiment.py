"""Is a film review for or against the film, and what does a network that reads it in order add to counting words?

    python experiments/tasks/sentiment.py --data FOLDER          2 minutes a seed on 2 CPU cores
    python experiments/tasks/sentiment.py --data FOLDER --grid   an hour: every cell, direction and pooling
    python experiments/tasks/sentiment.py --data FOLDER --pretrain WIKITEXT   begins with a language model of ours

FOLDER has the sentences of SST-2 (Socher et al. 2013) as train.txt, dev.txt and test.txt, lines "LABEL SENTENCE": 6,920
sentences for training, no phrases, no other data, no vectors. The recipe is in sst2.json. Counting is naive Bayes and,
where scikit-learn is installed, NB-SVM (Wang & Manning 2012), both over words and bigrams. WIKITEXT has the tokens of
WikiText-2 (Merity et al. 2017) as train.txt, valid.txt and test.txt: a language model of them, in lower case as the
reviews are, is trained by wikitext2_lm.json, and the recipe begins with its embedding and layer. Given again with more
seeds, with --grid or with --pretrain, the command adds to the record of --out.

Expected: 81 % on the test sentences by the recipe, no more than naive Bayes: word order decides few reviews, and 6,920
sentences do not teach it. Pooling by mean or maximum is better than the last state; the cells are close to each other.
Begun with a language model of two million words, the recipe has 84 %.
"""

import argparse
import dataclasses
import importlib.util
import itertools
from pathlib import Path
from typing import Any

import numpy as np

from experiments.harness import Study
from experiments.harness.runs import lines_of, trained
from experiments.tasks.sentiment_findings import CELLS, POOLINGS, PRETRAINED, findings
from lm_jax.config import ClassifyConfig, TrainConfig, from_flat, read_settings
from lm_jax.data.labelled import LabelledCorpus
from lm_jax.tasks import task_of


RECIPE = Path(__file__).with_name("sst2.json")
SMOKE = {"hidden_size": 8, "embedding_size": 8, "steps": 4, "log_every": 2, "max_length": 1000}
GRID = {
    f"{cell} {'both ways' if both else 'left to right'} {pooling}": {
        "cell": cell,
        "bidirectional": both,
        "pooling": pooling,
    }
    for cell, both, pooling in itertools.product(CELLS, (False, True), POOLINGS)
}
LANGUAGE_MODEL = Path(__file__).with_name("wikitext2_lm.json")
STUDY = Study(
    __doc__,
    __file__,
    {
        "--data": {"help": "folder of SST-2; default: passages of the standard library, by their package"},
        "--seeds": {"type": int, "default": 5},
        "--grid": {"action": "store_true", "help": "every cell, direction and pooling, one seed each"},
        "--pretrain": {"help": "folder of WikiText-2, for a language model to begin with", "metavar": "WIKITEXT"},
    },
)


def as_tables(folder: Path, to: Path) -> str:
    """Writes the sentences of SST-2 as lines LABEL<tab>SENTENCE and returns their folder."""
    to.mkdir(parents=True, exist_ok=True)
    for split in ("train", "dev", "test"):
        lines = (folder / f"{split}.txt").read_text().splitlines()
        (to / f"{split}.tsv").write_text("".join(f"{line[0]}\t{line[2:]}\n" for line in lines))
    return str(to)


def language_model(folder: Path, runs: Path) -> dict[str, Any]:
    """Trains the language model of the text in lower case, once; returns the settings that begin with it."""
    text, run = runs / "wikitext-2-lower", runs / "language-model"
    text.mkdir(parents=True, exist_ok=True)
    for split in ("train", "valid", "test"):
        words = (folder / f"{split}.txt").read_text(encoding="utf-8").lower()
        (text / f"{split}.txt").write_text(words, encoding="utf-8")
    config = read_settings(LANGUAGE_MODEL, TrainConfig)
    trained(dataclasses.replace(config, data=dataclasses.replace(config.data, data=str(text))), run)
    return {"init_from": str(run), "hidden_size": config.model.hidden_size}


def settings(changes: dict[str, Any], seed: int, arguments: argparse.Namespace, data: str | None) -> ClassifyConfig:
    """The recipe with some changes."""
    config = from_flat(
        ClassifyConfig, changes | (SMOKE if arguments.smoke else {}), read_settings(RECIPE, ClassifyConfig)
    )
    return dataclasses.replace(config, seed=seed, data=dataclasses.replace(config.data, data=data))


def measure(name: str, changes: dict[str, Any], seed: int, arguments: argparse.Namespace, data: str | None) -> dict:
    """What one run has come to."""
    run = trained(settings(changes, seed, arguments, data), arguments.runs / f"{name.replace(' ', '-')}-{seed}")
    rows = {(row["split"], row["model"]): row for row in run.results["rows"]}
    splits = {split: rows[split, list(rows)[-1][1]]["accuracy"] for split in ("train", "valid", "test")}
    valid = [[line["step"], line["valid_accuracy"]] for line in lines_of(run.folder) if "valid_accuracy" in line]
    return {
        "model": name,
        "seed": seed,
        **splits,
        "naive Bayes": rows["test", "naive Bayes"]["accuracy"],
        "parameters": run.results["parameters"],
        "seconds": run.results["seconds"],
        **run.cost,
        "curve": valid,
    }


def nb_svm(data: LabelledCorpus) -> float | None:
    """Test accuracy of a linear SVM over naive Bayes' log-count ratios; None without scikit-learn."""
    if importlib.util.find_spec("sklearn") is None or len(data.vocabulary.labels) != 2:
        return None
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.svm import LinearSVC

    counter = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=r"\S+", lowercase=False)
    train, test = data.splits["train"], data.splits["test"]
    x, y = counter.fit_transform(train.texts), train.labels
    for_, against = (np.asarray(x[y == label].sum(axis=0))[0] + 1 for label in (1, 0))
    ratio = np.log((for_ / for_.sum()) / (against / against.sum()))
    model = LinearSVC(C=1.0, max_iter=20_000, random_state=0).fit(x.multiply(ratio).tocsr(), y)
    # Wang & Manning 2012, section 2.3: weights between the SVM's and their mean size, a quarter of the SVM's
    weights = 0.75 * np.abs(model.coef_).mean() + 0.25 * model.coef_[0]
    scores = counter.transform(test.texts).multiply(ratio).tocsr() @ weights + model.intercept_
    return float(np.mean((scores > 0) == (test.labels == 1)))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains the recipe with every seed, and the grid if asked for."""
    data = None if arguments.data is None else as_tables(Path(arguments.data), arguments.runs / "sst2")
    before = [] if arguments.smoke else STUDY.recorded(arguments.out).get("runs", [])
    found = {(one["model"], one["seed"]): one for one in before}
    wanted = [("recipe", {}, seed) for seed in range(1 if arguments.smoke else arguments.seeds)]
    wanted += [(name, changes, 0) for name, changes in GRID.items()] if arguments.grid else []
    if arguments.pretrain is not None:
        begun = language_model(Path(arguments.pretrain), arguments.runs)
        wanted += [(PRETRAINED, begun, seed) for seed in range(arguments.seeds)]
    for name, changes, seed in wanted:
        if (name, seed) not in found:
            found[name, seed] = measure(name, changes, seed, arguments, data)
    config = settings({}, 0, arguments, data)
    counting = {"naive Bayes": next(iter(found.values()))["naive Bayes"]}
    svm = nb_svm(task_of(config).load(config, None))
    counting |= {} if svm is None else {"NB-SVM": svm}
    return {"runs": list(found.values()), "counting": counting}


if __name__ == "__main__":
    STUDY.main(run, findings)
