"""A task of its own: the parity of bit strings. It has no text, no carry and no vocabulary."""

import dataclasses
import hashlib
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.config import RunConfig
from lm_jax.tasks import Closing, Task
from lm_jax.training import BatchSource, Score, Tally, one_a_step


@dataclasses.dataclass(frozen=True)
class ParityConfig(RunConfig):
    """Strings of `bits` bits."""

    task: ClassVar[str] = "parity"
    bits: int = 6


class Strings(NamedTuple):
    """All strings [2^bits, bits], and their parities."""

    strings: np.ndarray
    parities: np.ndarray
    sha256: str
    source: str = "all bit strings"
    vocabulary: None = None
    phrases: tuple[str, ...] = ("two classes",)

    @property
    def record(self) -> dict[str, Any]:
        return {"source": self.source, "sha256": self.sha256}


class Network(NamedTuple):
    init: Any
    logits: Any


class Row(NamedTuple):
    split: str
    accuracy: float


def load(settings, saved):
    strings = (np.arange(2**settings.bits)[:, None] >> np.arange(settings.bits)) & 1
    data = Strings(strings, strings.sum(1) % 2, hashlib.sha256(strings.tobytes()).hexdigest())
    if saved is not None:
        saved.check_same(data.source, data.sha256)
    return data


def model(settings, vocabulary):
    def init(key):
        keys, size = jax.random.split(key), settings.bits
        return {"w": jax.random.normal(keys[0], (size, 32)), "v": jax.random.normal(keys[1], (32,)) / 6}

    return Network(init, lambda params, x: jnp.tanh(x @ params["w"] - 0.5 * jnp.arange(32) / 4) @ params["v"])


def batches(settings, data, model):
    steps = len(data.strings) // settings.batch_size

    def epoch(number):
        order = np.random.default_rng((settings.seed, number)).permutation(len(data.strings))
        rows = order[: steps * settings.batch_size].reshape(steps, -1)
        return np.moveaxis(data.strings[rows], 2, 1).astype(np.float32), data.parities[rows][:, None]

    def batch(params, epoch, carry, start, length):
        return carry, jax.tree.map(lambda array: array[start], epoch)

    return BatchSource(steps, epoch, batch, one_a_step(steps), 1, steps * settings.batch_size)


def loss(settings, model):
    def mean_loss(params, carry, batch, key, whole=None):
        logits = model.logits(params, batch[0].T)
        nll = jnp.sum(jax.nn.softplus(jnp.where(batch[1][0] == 1, -logits, logits)))
        return nll / (batch if whole is None else whole)[1].size, (carry, Tally(nll, jnp.asarray(batch[1].size)))

    return mean_loss


def accuracy(data, model, params):
    return float(np.mean((np.asarray(model.logits(params, data.strings.astype(np.float32))) > 0) == data.parities))


def validate(settings, data, model, params, progress):
    right = accuracy(data, model, params)
    return Score(1 - right, {"accuracy": right}, f"accuracy {right:.1%}")


def close(settings, data, model, params, key, progress):
    right = accuracy(data, model, params)
    return Closing(rows=(Row("all", right),), summary={"all": {"accuracy": right}}, remarks=(f"{right:.1%} right",))


def evaluate(settings, vocabulary, model, params, request):
    return Row(request.split, accuracy(load(settings, None), model, params))


PARITY = Task(
    config=ParityConfig,
    name=lambda settings: f"parity of {settings.bits}",
    folder_name=lambda settings: "parity",
    family=lambda settings: "parity",
    load=load,
    model=model,
    batches=batches,
    loss=loss,
    validate=validate,
    close=close,
    evaluate=evaluate,
)
