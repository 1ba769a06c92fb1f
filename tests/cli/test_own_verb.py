"""A task made in the tests has a verb: lines of four tables, and the shared functions of the command line."""

import dataclasses
import json
import sys
from typing import ClassVar

import pytest

import lm_jax
import lm_jax.config
from lm_jax.cli.completion import flags_of
from lm_jax.cli.examples import EXAMPLES
from lm_jax.cli.verbs import VERBS
from lm_jax.errors import UserError
from lm_jax.queries import any_gradient_map
from lm_jax.queries.load import CLASSES
from lm_jax.queries.loaded_run import LoadedRun
from lm_jax.tasks import TASKS
from tests.cli.conftest import tree
from tests.tasks import parity_verb
from tests.tasks.parity import PARITY, ParityConfig, accuracy


SMALL = ("--bits", "4", "--batch-size", "8", "--log-every", "4", "--eval-every", "4")


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedParity(LoadedRun):
    """The run of the task, with its question as a method."""

    model_type: ClassVar[str] = "parity of strings"

    def right(self):
        return accuracy(self.task.load(self.config, None), self.model, self.params)


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """The tables have the task, its settings, its verbs with examples, and the class of its runs."""
    monkeypatch.setitem(TASKS, "parity", PARITY)
    monkeypatch.setattr(lm_jax.config, "ParityConfig", ParityConfig, raising=False)
    monkeypatch.setitem(sys.modules, "lm_jax.cli.parity", parity_verb)
    monkeypatch.setitem(CLASSES, TrainedParity.model_type, TrainedParity)
    for name in parity_verb.VERBS:
        monkeypatch.setitem(VERBS, name, parity_verb.VERBS[name])
        monkeypatch.setitem(EXAMPLES, name, parity_verb.EXAMPLES[name])


def test_it_trains_goes_on_and_is_evaluated(command, tmp_path):
    new = tmp_path / "new"
    code, out, err = command("parity", "train", "--run", new, "--steps", "8", *SMALL)
    assert code == 0 and err == "" and "parity" in out
    code, out, _ = command("parity", "train", "--resume", new, "--steps", "12")
    assert code == 0 and "resumed after step 8" in out
    code, out, _ = command("parity", "train", "--resume", new)
    assert code == 0 and f"lm-jax parity train --resume {new}" in out
    loaded = lm_jax.load(new)
    assert isinstance(loaded, TrainedParity)
    assert command("parity", "evaluate", new) == (0, f"{loaded.right():.1%} of the strings are right\n", "")
    for verb in (("parity", "evaluate"), ("evaluate",)):
        assert json.loads(command(*verb, new, "--split", "all", "--json")[1]) == {
            "split": "all",
            "accuracy": loaded.right(),
        }
    code, out, err = command("classify", "evaluate", new)
    assert code == 2 and not out and "for the run of a classifier, got that of a parity of strings" in err
    with pytest.raises(UserError, match="gradients of a text are those of a language model, classifier, tagger or"):
        any_gradient_map(new, "0110")


def test_help_and_completion_know_it(command):
    code, out, _ = command("parity", "--help")
    assert code == 0 and [name in out for name in (*parity_verb.VERBS, "classify train")] == [True, True, False]
    code, out, _ = command("parity", "train", "--help-all")
    assert code == 0 and "Bits of a string. [6]" in out and "lm-jax parity train --bits 4" in out
    assert "--bits" in flags_of("parity train") and "--bits" not in flags_of("parity evaluate")


WRONG = {
    "no bits": (("train", "--bits", "0"), "--bits must be a whole number of at least 1, got 0"),
    "another task": (("train", "--bptt", "3"), "unrecognized arguments: --bptt"),
    "no run": (("evaluate", "nowhere"), "a run must be an existing folder, got nowhere"),
    "no verb": (("predict",), "the verb must be one of parity train, parity evaluate, got 'parity predict'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_one_line_and_write_nothing(name, command, tmp_path, monkeypatch):
    words, message = WRONG[name]
    monkeypatch.chdir(tmp_path)
    code, out, err = command("parity", *words)
    assert code == 2 and out == "" and err.count("\n") == 1 and message in err
    assert not tree(tmp_path)
