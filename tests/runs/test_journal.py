"""What the journal of a run does beside its lines, which the tests of runs read."""

import types

from lm_jax.runs.folder import RunFolder
from lm_jax.runs.journal import Journal
from lm_jax.training import Score
from lm_jax.training.listener import Listener, Validation


def test_the_loss_curve_is_drawn_now_and_then(tmp_path, monkeypatch):
    """Not at each validation: a small model is validated many times a second."""
    now, drawn = 0.0, []
    monkeypatch.setattr("lm_jax.runs.journal.time", types.SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr("lm_jax.runs.journal.draw_loss_curve", lambda records, *_: drawn.append((now, len(records))))
    journal = Journal(RunFolder(tmp_path), Listener(), 0, "loss (nats)", "tokens")
    for step in range(1, 6):
        now = 6.0 * step
        validation = Validation(step, Score(1.0, {}, ""), best=True)
        journal.record_validation(validation)
        journal.on_validation(validation)
    assert drawn == [(12.0, 2), (24.0, 4)]
    journal.draw_losses()  # the end does not wait
    assert drawn[-1] == (30.0, 5)


def test_the_closing_curve_has_the_losses_of_other_models(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("lm_jax.runs.journal.draw_loss_curve", lambda *arguments: drawn.append(arguments[2:]))
    journal = Journal(RunFolder(tmp_path), Listener(), 0, "loss (nats)", "tokens")
    journal.draw_losses({"unigram": 3.0})
    journal.draw_losses()
    assert drawn == [("loss (nats)", {"unigram": 3.0}), ("loss (nats)", {})]
