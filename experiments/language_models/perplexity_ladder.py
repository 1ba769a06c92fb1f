"""The one table: perplexities from unigrams to mixtures, all of exactly the same predicted tokens.

    python experiments/language_models/perplexity_ladder.py                 about 8 minutes on 2 busy CPU cores
    python experiments/language_models/perplexity_ladder.py --data FOLDER   another text; --level: other tokens

By default the words of the Python documentation, those seen once being <unk>. N-gram models are of modified Kneser-Ney
unless the name says otherwise. Each row is tested against the one above. Left out are stupid back-off, whose scores are
no probabilities, and maximum likelihood, whose perplexity is infinite as soon as one test n-gram was never seen.
Mixtures get their weights from the validation text by EM.

Expected: of the estimators at order 3 adding one is the worst by far, worse than a unigram, and modified Kneser-Ney the
best; orders above 3 gain little on so short a text, and networks, trained until the validation loss no longer falls,
do not reach the 5-gram model alone. The mixtures do: each part knows something else, so 5-gram + cache + LSTM is best.

Found: so, but for two. Orders 4 and 5 gain 13 % (the documentation repeats itself), and GRU and LSTM are as good as the
5-gram model: the differences are within their intervals. One seed a network, 3,586 test words: intervals are wide.
"""

from pathlib import Path

from experiments.harness import Study
from experiments.harness.runs import trained
from experiments.language_models.perplexity_ladder_findings import findings
from lm_jax.config import DataConfig, NGramConfig, TrainConfig, from_flat
from lm_jax.data.texts import default_text
from lm_jax.queries import Mixture, compare
from lm_jax.report.comparison_table import notes


STUDY = Study(
    __doc__,
    __file__,
    {
        "--data": {"help": "a text as of lm-jax train (default: the documentation that CPython carries)"},
        "--level": {"choices": ["char", "byte", "word", "bpe"], "default": "word", "help": "what a token is"},
    },
)
METHODS = ("katz", "jelinek-mercer", "witten-bell", "absolute-discounting", "kneser-ney")
NGRAMS = {
    **{f"{order}-gram": {"order": order} for order in (1, 2)},
    "3-gram-add-1": {"order": 3, "method": "add-k"},
    "3-gram-add-0.01": {"order": 3, "method": "add-k", "k": 0.01},
    **{f"3-gram-{method.removesuffix('-discounting')}": {"order": 3, "method": method} for method in METHODS},
    **{f"{order}-gram": {"order": order} for order in (3, 4, 5)},
}
NETWORKS = {
    "window-4": {"model": "window", "window": 4},
    **{cell: {"cell": cell, "recurrence": "scan"} for cell in ("rnn", "gru", "lstm")},
}
# of 0.002 and 0.005 that with the lower validation loss on the default text
LEARNING_RATES = {"window-4": 2e-3, "rnn": 2e-3, "gru": 5e-3, "lstm": 5e-3}
SMOKE = ("1-gram", "3-gram-katz", "5-gram", "window-4", "lstm")
CACHE = 2000
MIXTURES = {
    "5-gram + cache": (["5-gram"], CACHE),
    "5-gram + LSTM": (["5-gram", "lstm"], None),
    "5-gram + cache + LSTM": (["5-gram", "lstm"], CACHE),
}


def settings(name: str, data: DataConfig, smoke: bool) -> TrainConfig | NGramConfig:
    """An n-gram model, or a network of one layer of 200 units, dropout, and an end when validation says so."""
    if name in NGRAMS:
        return from_flat(NGramConfig, NGRAMS[name], NGramConfig(data))
    size = 8 if smoke else 200
    network = {**NETWORKS[name], "hidden_size": size, "embedding_size": size, "dropout": 0.5}
    training = {"batch_size": 20, "bptt": 35, "epochs": 12, "patience": 2, "learning_rate": LEARNING_RATES[name]}
    length = {"steps": 4, "eval_every": 4} if smoke else {}
    return from_flat(TrainConfig, network | training | length, TrainConfig(data=data))


def short_text(folder: Path) -> str:
    """A file with the first lines of the default text."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "short.txt").write_text("".join(default_text().splitlines(keepends=True)[:600]))
    return str(folder / "short.txt")


def run(arguments) -> dict:
    """Makes what is missing and compares all."""
    text = Path(arguments.data).stem if arguments.data else "default"
    runs = arguments.runs / f"{text}-{arguments.level}"
    source = short_text(runs) if arguments.smoke and not arguments.data else arguments.data
    data = DataConfig(source, arguments.level, min_count=2 if arguments.level == "word" else 1)
    names = SMOKE if arguments.smoke else [*NGRAMS, *NETWORKS]
    for name in names:
        trained(settings(name, data, arguments.smoke), runs / name)
    mixtures = [Mixture([runs / part for part in parts], cache, name) for name, (parts, cache) in MIXTURES.items()]
    rows = compare([runs / name for name in names], mixture=mixtures)
    return {"rows": [row._asdict() for row in rows], "notes": notes(rows)}


if __name__ == "__main__":
    STUDY.main(run, findings)
