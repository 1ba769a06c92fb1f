"""The model over the characters of single lines that exposure_bias.py and uses/spelling.py share, and its lines."""

from lm_jax.config import LSTMConfig, OptimizerConfig, RecurrentConfig, TrainConfig
from lm_jax.data.texts import Texts


def settings(seed: int, smoke: bool, scheduled_sampling: float = 0.0) -> TrainConfig:
    """An LSTM of 128 units, every line alone."""
    return TrainConfig(
        model=RecurrentConfig(cell=LSTMConfig(recurrence="scan"), hidden_size=16 if smoke else 128, embedding_size=32),
        optimizer=OptimizerConfig(learning_rate=5e-3),
        epochs=8,
        bptt=64,
        mode="sentence",
        scheduled_sampling=scheduled_sampling,
        steps=6 if smoke else None,
        seed=seed,
    )


def held_out_lines(texts: Texts) -> list[str]:
    """The different lines of the test text that the training text lacks."""
    known = {line.strip() for line in texts.train.split("\n")}
    return [line for line in dict.fromkeys(texts.test.split("\n")) if line.strip() not in known]
