"""Questions to a finished run, one function each: a run's folder (or a loaded run) in, typed records out.

Texts go in and come out as characters. The command line prints the records, JSON is made of them at the border only.
"""

from lm_jax.queries.compare import compare
from lm_jax.queries.complete import Completion, Completions, complete
from lm_jax.queries.continue_text import (
    Continuation,
    Hypothesis,
    beam_search,
    continue_text,
    generate,
    stream_samples,
    stream_text,
)
from lm_jax.queries.convert import Converted, convert_file, convert_run
from lm_jax.queries.eval_harness import evaluate_tasks
from lm_jax.queries.evaluate import Evaluation, evaluate
from lm_jax.queries.export import Exported, export_run
from lm_jax.queries.gradient_map import GradientMap, gradient_map
from lm_jax.queries.gradients import GradientReport, gradients
from lm_jax.queries.hub import from_pretrained, push_to_hub, save_pretrained
from lm_jax.queries.learning_curves import CurvePoint, LearningCurve, learning_curves
from lm_jax.queries.list_runs import RunSummary, list_runs
from lm_jax.queries.load import load
from lm_jax.queries.loaded_run import LoadedRun
from lm_jax.queries.minimal_pairs import Judgement, MinimalPairs, Pair, minimal_pairs
from lm_jax.queries.mixtures import Mixture
from lm_jax.queries.next_tokens import NextToken, next_tokens
from lm_jax.queries.ngram_files import ImportedModel, Pruning, export_arpa, import_arpa, prune_run
from lm_jax.queries.noisy_channel import ChannelTuning, Reranked, channel_candidates, rerank, tune_weights
from lm_jax.queries.reading import Reader, Reading
from lm_jax.queries.score import LineScore, TokenScore, score, score_tokens
from lm_jax.queries.source_gradients import (
    SourceGradientMap,
    StateGradients,
    any_gradient_map,
    label_gradients,
    tag_gradients,
    translation_gradients,
)
from lm_jax.queries.states import HiddenStates, UnitMatch, states, units_like, write_states
from lm_jax.queries.trained import TrainedLanguageModel
from lm_jax.queries.trained_classifier import TrainedClassifier
from lm_jax.queries.trained_tagger import TrainedTagger
from lm_jax.queries.trained_translator import TrainedTranslator
from lm_jax.queries.translate import AttentionMap, Translation, attention_map, translate
from lm_jax.report.comparison_row import ComparisonRow


__all__ = [
    "AttentionMap",
    "ChannelTuning",
    "ComparisonRow",
    "Completion",
    "Completions",
    "Continuation",
    "Converted",
    "CurvePoint",
    "Evaluation",
    "Exported",
    "GradientMap",
    "GradientReport",
    "HiddenStates",
    "Hypothesis",
    "ImportedModel",
    "Judgement",
    "LearningCurve",
    "LineScore",
    "LoadedRun",
    "MinimalPairs",
    "Mixture",
    "NextToken",
    "Pair",
    "Pruning",
    "Reader",
    "Reading",
    "Reranked",
    "RunSummary",
    "SourceGradientMap",
    "StateGradients",
    "TokenScore",
    "TrainedClassifier",
    "TrainedLanguageModel",
    "TrainedTagger",
    "TrainedTranslator",
    "Translation",
    "UnitMatch",
    "any_gradient_map",
    "attention_map",
    "beam_search",
    "channel_candidates",
    "compare",
    "complete",
    "continue_text",
    "convert_file",
    "convert_run",
    "evaluate",
    "evaluate_tasks",
    "export_arpa",
    "export_run",
    "from_pretrained",
    "generate",
    "gradient_map",
    "gradients",
    "import_arpa",
    "label_gradients",
    "learning_curves",
    "list_runs",
    "load",
    "minimal_pairs",
    "next_tokens",
    "prune_run",
    "push_to_hub",
    "rerank",
    "save_pretrained",
    "score",
    "score_tokens",
    "states",
    "stream_samples",
    "stream_text",
    "tag_gradients",
    "translate",
    "translation_gradients",
    "tune_weights",
    "units_like",
    "write_states",
]
