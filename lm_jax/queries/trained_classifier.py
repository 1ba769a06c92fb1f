"""The run of a classifier, loaded: every question to it as a method."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import ClassVar, overload

from lm_jax.queries.classify import Explanation, Prediction, classify, explain
from lm_jax.queries.evaluate import evaluate
from lm_jax.queries.loaded_run import LoadedRun
from lm_jax.queries.source_gradients import SourceGradientMap, label_gradients
from lm_jax.tasks.classify import Classification


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedClassifier(LoadedRun):
    """A trained classifier with its parameters and its vocabulary, and every question to it as a method."""

    model_type: ClassVar[str] = "classifier"

    @overload
    def predict(self, texts: str) -> Prediction: ...

    @overload
    def predict(self, texts: Sequence[str]) -> list[Prediction]: ...

    def predict(self, texts: str | Sequence[str]) -> Prediction | list[Prediction]:
        """Predicts the label of a text, or of each of several, with the probability of every label."""
        return classify(self, [texts])[0] if isinstance(texts, str) else classify(self, texts)

    def classify(self, texts: Sequence[str]) -> list[Prediction]:
        """Predicts the label of each text, with the probability of every label."""
        return classify(self, texts)

    def explain(self, text: str) -> Explanation:
        """Measures which words of a text its label rests on."""
        return explain(self, text)

    def gradient_map(self, text: str, label: str | None = None, *, layer: int | None = None) -> SourceGradientMap:
        """Measures which words and states a label rests on.

        Args:
            text: A text.
            label: One of the run's labels. Default: the most probable one.
            layer: The layer whose states are measured, 0 is nearest to the input, -1 the top. Default: all.

        Raises:
            UserError: For a text that is empty or too long, and a label that the run lacks.
        """
        return label_gradients(self, text, label, layer=layer)

    def evaluate(
        self, data: str | None = None, split: str = "test", *, progress: Callable[[int, int], None] | None = None
    ) -> Classification:
        """Scores one split of labelled texts.

        Args:
            data: Labelled texts as for training. Default: the run's own.
            split: "train", "valid", "test" or "all".
            progress: Called with (batches done, batches in all).

        Raises:
            UserError: For an unknown split, and data that cannot be read.
        """
        return evaluate(self, data, split, progress=progress)
