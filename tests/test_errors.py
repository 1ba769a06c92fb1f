"""Mistakes of a user: settings in messages as Python writes them, and as flags on the command line."""

import pickle

import pytest

from lm_jax.cli.main import in_flags
from lm_jax.errors import UserError, check_sizes
from lm_jax.training.processes import connect


def test_settings_survive_pickling():
    error = pickle.loads(pickle.dumps(UserError("lower batch_size or bptt", ["batch_size", "bptt"])))
    assert (str(error), error.settings) == ("lower batch_size or bptt", ("batch_size", "bptt"))
    assert UserError("no setting").settings == ()


def test_a_message_is_one_line_whatever_the_value():
    error = UserError("data must be a file, got a\nb\r\u2028c\x85d")
    assert str(error) == r"data must be a file, got a\nb\r\u2028c\x85d"
    assert len(str(error).splitlines()) == 1 and str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("message", "settings", "shown"),
    [
        ("lower batch_size or bptt", ("batch_size", "bptt"), "lower --batch-size or --bptt"),
        ("data must be a file, got data", ("data",), "--data must be a file, got data"),
        ("run must be new, got a/run, my-run", ("run",), "--run must be new, got a/run, my-run"),
        ("a text of the run: give data, got old/data", ("data",), "a text of the run: give --data, got old/data"),
        ("steps of steps_per_epoch", ("steps_per_epoch",), "steps of --steps-per-epoch"),
        ("max_lag must be 1", (), "max_lag must be 1"),
        ("go on: resume=run run=./-x run", ("resume", "run"), "go on: --resume run --run ./-x --run"),
        ("steps=3 run='my top_k steps' 'run'", ("run", "steps", "top_k"), "--steps 3 --run 'my top_k steps' 'run'"),
        ("the run's own data isn't 'data'", ("data",), "the run's own --data isn't 'data'"),
    ],
)
def test_the_first_mention_of_a_setting_becomes_its_flag(message, settings, shown):
    assert in_flags(UserError(message, settings)) == shown


def test_messages_of_the_library_name_settings_as_python_does():
    with pytest.raises(UserError, match=r"^hidden_size must be a whole number .*, got 0$") as caught:
        check_sizes(hidden_size=0)
    assert in_flags(caught.value).startswith("--hidden-size must be")
    with pytest.raises(
        UserError, match=r"^coordinator must go with processes and process_id, got 2 and None$"
    ) as caught:
        connect("host:1", 2)
    shown = "--coordinator must go with --processes and --process-id, got 2 and None"
    assert in_flags(caught.value) == shown
