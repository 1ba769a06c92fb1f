"""The run of a tagger, loaded: every question to it as a method."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import ClassVar, overload

from lm_jax.queries.evaluate import evaluate
from lm_jax.queries.loaded_run import LoadedRun
from lm_jax.queries.source_gradients import SourceGradientMap, tag_gradients
from lm_jax.queries.tag import TaggedSentence, tag, tag_sentences
from lm_jax.tasks.tag import Tagging


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedTagger(LoadedRun):
    """A trained tagger with its parameters and its vocabulary, and every question to it as a method."""

    model_type: ClassVar[str] = "tagger"

    @overload
    def predict(self, sentences: str) -> TaggedSentence: ...

    @overload
    def predict(self, sentences: Sequence[str]) -> list[TaggedSentence]: ...

    def predict(self, sentences: str | Sequence[str]) -> TaggedSentence | list[TaggedSentence]:
        """Tags a sentence, words with white space between, or each of several."""
        return tag(self, sentences) if isinstance(sentences, str) else tag_sentences(self, sentences)

    def tag(self, sentence: str | Sequence[str], n_best: int = 1) -> TaggedSentence:
        """Tags one sentence: words with white space between, or a list of words."""
        return tag(self, sentence, n_best)

    def tag_sentences(self, sentences: Sequence[str | Sequence[str]], n_best: int = 1) -> list[TaggedSentence]:
        """Tags many sentences, in batches."""
        return tag_sentences(self, sentences, n_best)

    def gradient_map(self, sentence: str, tags: str | None = None, *, layer: int | None = None) -> SourceGradientMap:
        """Measures which words and states each tag rests on.

        Args:
            sentence: Words with white space between.
            tags: As many tags of the run, with white space between. Default: the most probable string.
            layer: The layer whose states are measured, 0 is nearest to the input, -1 the top. Default: all.

        Raises:
            UserError: For a sentence without a word or with too many, and other tags or another number.
        """
        return tag_gradients(self, sentence, tags, layer=layer)

    def evaluate(
        self, data: str | None = None, split: str = "test", *, progress: Callable[[int, int], None] | None = None
    ) -> Tagging:
        """Scores one split of tagged sentences.

        Args:
            data: Tagged sentences as for training. Default: the run's own.
            split: "train", "valid", "test" or "all".
            progress: Called with (batches done, batches in all).

        Raises:
            UserError: For an unknown split, and data that cannot be read.
        """
        return evaluate(self, data, split, progress=progress)
