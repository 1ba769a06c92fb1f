"""A task of its own: parity of bit strings, with batches and a metric of its own, no text, carry or vocabulary."""

import dataclasses
from collections import namedtuple
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.config import RunConfig, setting
from lm_jax.config.settings import count
from lm_jax.tasks import Closing, Task
from lm_jax.training import BatchSource, Score, Tally, one_a_step


@dataclasses.dataclass(frozen=True)
class ParityConfig(RunConfig):
    task: ClassVar[str] = "parity"
    bits: int = setting(6, "Bits of a string.", rule=count)


Strings = namedtuple("Strings", "x y sha256 record source vocabulary phrases", defaults=("bits", None, ()))
Network = namedtuple("Network", "init logits")


class Row(NamedTuple):
    split: str
    accuracy: float

    @property
    def words(self):
        return f"{self.accuracy:.1%} of the strings are right"


def load(settings, saved):
    x = ((np.arange(2**settings.bits)[:, None] >> np.arange(settings.bits)) & 1).astype(np.float32)
    return Strings(x, x.sum(1) % 2, f"{settings.bits} bits", {"source": "bits", "sha256": f"{settings.bits} bits"})


def model(settings, vocabulary):
    def init(key):
        w, v = (jax.random.normal(k, (settings.bits, 32)) for k in jax.random.split(key))
        return {"w": w, "v": v[0] / 6, "b": v[1]}

    return Network(init, lambda params, x: jnp.tanh(x @ params["w"] + params["b"]) @ params["v"])


def batches(settings, data, model):
    steps, size = len(data.x) // settings.batch_size, settings.batch_size

    def epoch(number):
        rows = (
            np.random.default_rng((settings.seed, number)).permutation(len(data.x))[: steps * size].reshape(steps, size)
        )
        return np.moveaxis(data.x[rows], 2, 1), data.y[rows][:, None]

    def batch(params, arrays, carry, start, length):
        return carry, jax.tree.map(lambda array: array[start], arrays)

    return BatchSource(steps, epoch, batch, one_a_step(steps), usual_length=1, targets_per_epoch=steps * size)


def loss(settings, model):
    def mean_loss(params, carry, batch, key, whole=None):
        nll = jnp.sum(jax.nn.softplus((1 - 2 * batch[1][0]) * model.logits(params, batch[0].T)))
        return nll / (whole or batch)[1].size, (carry, Tally(nll, jnp.asarray(batch[1].size)))

    return mean_loss


def accuracy(data, model, params):
    return float(np.mean((np.asarray(model.logits(params, data.x)) > 0) == data.y))


def validate(settings, data, model, params, progress):
    return Score(1 - (right := accuracy(data, model, params)), {"accuracy": right}, f"accuracy {right:.1%}")


def close(settings, data, model, params, key, progress):
    row = Row("all", accuracy(data, model, params))
    return Closing(rows=(row,), summary={"all": {"accuracy": row.accuracy}})


def evaluate(settings, vocabulary, model, params, request):
    return Row(request.split, accuracy(load(settings, None), model, params))


NAMES = {name: lambda settings: "parity" for name in ("name", "folder_name", "family")}
PARITY = Task(
    ParityConfig,
    load=load,
    model=model,
    validate=validate,
    close=close,
    evaluate=evaluate,
    batches=batches,
    loss=loss,
    command="parity train",
    model_type="parity of strings",
    **NAMES,
)
