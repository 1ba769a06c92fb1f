"""The numbers of seven small runs are those of the record: a change of the code that means none changes none.

Where the versions, the processor and the compiler's flags are those of the record, they are equal bit for bit. With
any other of these a sum may be taken in another order, and twenty steps of training carry a difference of rounding
into every number; the losses then agree to far better than a thousandth (they do from JAX 0.7.2 to 0.10.2, and under
full optimisation), while a changed algorithm, a changed draw of random numbers or a changed order of the text moves
them by more. What has no rounding in it, names, shapes, counts and steps, is equal everywhere.
"""

import copy
import json

import pytest

from tests.runs.recorded_bits import RECORD, RUNS, carry_out, compare, differences


SLOW = ("rnn", "lstm", "adaptive softmax", "sentence", "window")  # more than five seconds each


@pytest.fixture(scope="module")
def record():
    """The golden record."""
    return json.loads(RECORD.read_text())


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW), id=n) for n in RUNS])
def test_a_run_leaves_the_numbers_of_the_record(name, record, tmp_path):
    exact = not differences(record["environment"])
    mismatches = compare(name, record["runs"][name], carry_out(name, tmp_path), exact)
    assert not mismatches, "\n".join(map(str, mismatches))


def test_the_record_has_every_run(record):
    assert record["runs"].keys() == RUNS.keys()


def changed(record, change):
    """What is told, exactly and loosely, of the record's run of an LSTM beside a copy that `change` was made to."""
    recorded = record["runs"]["lstm"]
    found = copy.deepcopy(recorded)
    change(found)
    return [[str(m) for m in compare("lstm", recorded, found, exact)] for exact in (True, False)]


def test_a_loss_may_differ_by_rounding_elsewhere_only(record):
    def change(found):
        found["metrics.jsonl"][0]["valid_loss"] *= 1 + 1e-6

    exact, loose = changed(record, change)
    assert len(exact) == 1 and exact[0].startswith("lstm: metrics.jsonl: /0/valid_loss: recorded 1.")
    assert loose == []


def test_a_digest_may_differ_elsewhere_only_and_a_shape_nowhere(record):
    def digest(found):
        found["best checkpoint"]["['train']['step']"] = f"int32[] {'0' * 64}"

    def shape(found):
        found["best checkpoint"]["['train']['step']"] = f"int32[1] {'0' * 64}"

    assert [len(told) for told in changed(record, digest)] == [1, 0]
    assert [len(told) for told in changed(record, shape)] == [1, 1]


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found["results.json"].pop("best_step"),
        lambda found: found["results.json"].update(more=1),
        lambda found: found["metrics.jsonl"].pop(),
        lambda found: found["metrics.jsonl"][0].update(valid_loss=None),
        lambda found: found.pop("newest checkpoint"),
        lambda found: found["results.json"].update(step=19),
    ],
    ids=["a missing name", "a name more", "a missing line", "no number", "a missing file", "a step"],
)
def test_what_is_a_difference_everywhere(change, record):
    assert all(len(told) == 1 for told in changed(record, change))


@pytest.mark.parametrize("exact", [True, False])
def test_no_number_is_equal_to_itself(exact):
    recorded, found = ({"metrics.jsonl": [{"loss": float("nan")}]} for _ in range(2))
    assert compare("a run", recorded, found, exact) == []
