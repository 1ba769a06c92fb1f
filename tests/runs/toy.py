"""Runs that take a second: a text of six characters, models of a few units, 20 steps."""

import random
import signal
import warnings
from pathlib import Path

import jax
import numpy as np

from lm_jax.config import TrainConfig, from_flat


WORDS = ("a", "cab", "bad", "dab", "aba", "cad")


def write_corpus(folder: Path, seed: int = 0) -> str:
    """A folder of three texts in an alphabet of five letters and the newline; returns it as --data takes it."""
    generator = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (("train", 60), ("valid", 8), ("test", 8)):
        drawn = [generator.choices(WORDS, k=generator.randint(1, 8)) for _ in range(lines)]
        (folder / f"{name}.txt").write_text("".join(" ".join(words) + "\n" for words in drawn))
    return str(folder)


def toy_config(data: str, **changes) -> TrainConfig:
    """20 steps with reports every 5 and validations every 8; `changes` are settings by their flat names."""
    toy = {"batch_size": 4, "bptt": 8, "steps": 20, "log_every": 5, "eval_every": 8}
    sizes = {"hidden_size": 8} | ({} if changes.get("model") == "attention" else {"embedding_size": 4})
    return from_flat(TrainConfig, {"data": data, **sizes, "learning_rate": 0.01, **toy, **changes})


def model_config(**settings):
    """The settings of a model by their flat names."""
    return from_flat(TrainConfig, settings).model


def saved_arrays(run: Path | str, step: int) -> dict[str, np.ndarray]:
    """Every array of a checkpoint by its path, without knowing what it belongs to."""
    from orbax.checkpoint import v1 as ocp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = ocp.load_checkpointables(Path(run).resolve() / "states" / str(step))
    leaves, _ = jax.tree_util.tree_flatten_with_path(loaded)
    return {jax.tree_util.keystr(path): _numbers(leaf) for path, leaf in leaves}


def _numbers(leaf):
    is_key = isinstance(leaf, jax.Array) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)


def assert_equal_runs(one: Path | str, other: Path | str, step: int) -> None:
    """The checkpoints of a step and all that was measured on the way are equal bit for bit."""
    arrays, expected = saved_arrays(one, step), saved_arrays(other, step)
    assert arrays.keys() == expected.keys() and len(arrays) > 10
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)
    assert (Path(one) / "metrics.jsonl").read_text() == (Path(other) / "metrics.jsonl").read_text()


class Events(list):
    """A listener that notes the names and the arguments of all events; stops the run by a signal, if asked to."""

    def __init__(self, stop_at: int | None = None):
        super().__init__()
        self.stop_at = stop_at

    def __getattr__(self, name: str):
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *arguments: self.append((name, *arguments))

    def on_steps(self, step):
        self.append(("on_steps", step))
        if step == self.stop_at:
            signal.raise_signal(signal.SIGINT)

    def of(self, name: str) -> list:
        """The arguments of the events of one name."""
        return [event[1:] for event in self if event[0] == name]
