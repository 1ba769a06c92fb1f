"""The verbs of the command line: what each does, where it lives, and the dataclasses of its words. Imports nothing."""

from collections import namedtuple


# summary: of the list of verbs. function: "module:name" in lm_jax/cli. arguments: the dataclass of the verb's own words
# in that module. config: the dataclass of settings in lm_jax.config; None for a verb without.
Verb = namedtuple("Verb", "summary function arguments config", defaults=(None,))

VERBS = {
    "train": Verb("train a language model, or resume a run (--resume)", "train:main", "TrainArguments", "TrainConfig"),
    "ngram train": Verb(
        "estimate an n-gram model from the counts of a text", "ngram_train:main", "NGramArguments", "NGramConfig"
    ),
    "ngram prune": Verb("prune n-grams that barely change the perplexity", "ngram_prune:main", "PruneArguments"),
    "ngram import": Verb("make a run of an ARPA file", "ngram_import:main", "ImportArguments"),
    "ngram export": Verb("write an n-gram run as an ARPA file", "ngram_export:main", "ExportArguments"),
    "classify train": Verb("train a classifier of texts", "classify:train", "ClassifyTrainArguments", "ClassifyConfig"),
    "classify evaluate": Verb(
        "accuracy of a classifier on labelled texts", "classify:evaluate", "ClassifyEvaluateArguments"
    ),
    "classify predict": Verb(
        "label of every line; with --explain, why",
        "classify:predict",
        "ClassifyPredictArguments",
    ),
    "tag train": Verb("train a tagger of words", "tag:train", "TagTrainArguments", "TagConfig"),
    "tag evaluate": Verb("accuracy of a tagger, and F1 of spans", "tag:evaluate", "TagEvaluateArguments"),
    "tag predict": Verb(
        "a tag for every word of every line",
        "tag:predict",
        "TagPredictArguments",
    ),
    "translate train": Verb(
        "train a translator on pairs of sentences",
        "translate:train",
        "TranslateTrainArguments",
        "TranslateConfig",
    ),
    "translate evaluate": Verb(
        "exact matches, BLEU and chrF of a translator",
        "translate:evaluate",
        "TranslateEvaluateArguments",
    ),
    "translate predict": Verb(
        "the translation of every line",
        "translate:predict",
        "TranslatePredictArguments",
    ),
    "translate rerank": Verb(
        "translations chosen by the noisy channel",
        "translate_rerank:main",
        "RerankArguments",
    ),
    "evaluate": Verb("perplexity and bits per character of a text", "evaluate:main", "EvaluateArguments"),
    "generate": Verb("continue a prompt with a run's model", "generate:main", "GenerateArguments"),
    "complete": Verb("the most likely next words after a prompt", "complete:main", "CompleteArguments"),
    "score": Verb("log-probability of every line or token of a text", "score:main", "ScoreArguments"),
    "minimal-pairs": Verb(
        "how often the good sentence of a pair wins",
        "minimal_pairs:main",
        "MinimalPairsArguments",
    ),
    "eval-harness": Verb("tasks of the lm-evaluation-harness", "eval_harness:main", "EvalHarnessArguments"),
    "gradients": Verb(
        "how far back gradients reach; with --text, why",
        "gradients:main",
        "GradientsArguments",
    ),
    "compare": Verb("runs on the same text, with intervals and tests", "compare:main", "CompareArguments"),
    "plot": Verb("loss curves of runs in one picture; logs as CSV", "plot:main", "PlotArguments"),
    "states": Verb("hidden states and gates along a text, as a file", "states:main", "StatesArguments"),
    "serve": Verb("a page to play with models, and an HTTP interface", "serve:main", "ServeArguments"),
    "convert": Verb("weights from and to torch, linen and ARPA files", "convert:main", "ConvertArguments"),
    "export": Verb("a model for other programs, or for the Hub", "export:main", "ExportRunArguments"),
    "runs": Verb("list the runs: model, text, best validation, state", "runs:main", "RunsArguments"),
    "completion": Verb("a script that completes in bash, zsh or fish", "completion:main", "CompletionArguments"),
    "doctor": Verb("versions, devices, memory and speed of the machine", "doctor:main", "DoctorArguments"),
}
# what people type who come from elsewhere
ALSO_CALLED = {
    "sample": "generate",
    "eval": "evaluate",
    "perplexity": "evaluate",
    "predict": "complete",
    "list": "runs",
    "ls": "runs",
    "curves": "plot",
    "import": "convert",
}
