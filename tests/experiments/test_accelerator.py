"""The command that proves and measures an accelerator: its cases, its record, its table, and the engines it chooses."""

import itertools
import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import accelerator
from experiments.accelerators import (
    command_buffers,
    engine_table,
    fast_layers,
    fast_models,
    right_bits,
    right_cells,
    right_cudnn,
    table,
)
from experiments.accelerators.cases import Case, by_turns, groups, run_cases
from experiments.accelerators.measuring import Cost, bound_by, cost_over_time, loop_sizes, unrolled
from experiments.accelerators.precision import error, errors_by_part, verdict
from experiments.accelerators.record import Record, file_name
from experiments.benchmarks.peers.work import Layers
from lm_jax import UserError
from lm_jax.cells import lstm
from lm_jax.cells.engines import selection
from lm_jax.cells.engines.measurement import Measured
from lm_jax.config import CELLS


ROOT = Path(__file__).parents[2]
# flax itself needs rich: it is imported before, and then rich is gone for everybody else
BLOCKED = """
import runpy, sys
import flax
for name in [name for name in sys.modules if name.split(".")[0] == "rich"]:
    del sys.modules[name]
sys.modules |= dict.fromkeys(("datasets", "tyro", "rich"))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_smoke_without_what_such_machines_lack(tmp_path):
    """From a folder of its own, in a clone that is not installed."""
    script = str(ROOT / "experiments" / "accelerator.py")
    code = BLOCKED.replace("sys.argv[1]", repr(script)).replace(
        "import runpy, sys", "import runpy, sys\nsys.path.pop()"
    )
    words = ["--smoke", "--out", str(tmp_path / "out")]
    code = code.replace("runpy.run_path", f"sys.argv = {[script, *words]!r}\nrunpy.run_path")
    environment = {**os.environ, "PYTHONPATH": "", "MPLBACKEND": "Agg"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "cpu-smoke.json").read_text())
    rows = {row["case"]: row for row in record["rows"]}
    assert rows["lstm scan float32"]["right"] and rows["lstm scan float32"]["by_flags"].keys() == {
        "plain",
        "mask",
        "reset",
        "both",
    }
    assert rows["loss softmax float32"]["right"] and rows["lstm B2 T3 H8 both fused float32"]["median_ms"] > 0
    assert "needs an NVIDIA GPU" in rows["lstm cudnn float32"]["refused"]
    assert record["smoke"] and record["ceilings"]["float32"] > 0 and record["left_out"] == []
    assert "REPORT cpu, jax" in done.stdout and max(map(len, done.stdout.splitlines()[:-2])) <= 80
    assert (tmp_path / "out" / "cpu-smoke.png").stat().st_size > 1000


def case(name, seconds=0.0, answer=None):
    def run():
        if isinstance(answer, Exception):
            raise answer
        return answer or {}

    return Case("right", name, seconds, run)


def test_cases_leave_rows_also_where_they_fail():
    rows = []
    cases = [
        case("a", answer={"right": True}),
        case("too long", 1000.0),
        case("refused", answer=UserError("needs another device")),
        case("b", answer=RuntimeError("INTERNAL: no kernel image\nand much more")),
    ]
    assert run_cases(cases, 100.0, rows.append, itertools.count().__next__) == ["too long"]
    assert [row["case"] for row in rows] == ["a", "refused", "b"] and rows[0]["right"]
    assert rows[1]["refused"] == "needs another device"
    assert rows[2]["failed"] == "RuntimeError: INTERNAL: no kernel image"


def test_cases_that_may_go_beside_each_other_come_together():
    cases = [Case("right" if k % 2 else "fast", str(k), 0.0, dict, beside=k % 2 == 1) for k in range(8)]
    assert [[one.name for one in group] for group in groups(cases, 3)] == [
        ["0"],
        ["1", "3", "5"],
        ["2"],
        ["4"],
        ["6"],
        ["7"],
    ]
    together = threading.Barrier(3, timeout=30)  # which breaks unless three are in it at once
    cases = [Case("right", str(k), 0.0, lambda: {"place": together.wait()}, beside=True) for k in range(3)]
    rows = []
    assert run_cases(cases, math.inf, rows.append, workers=3) == []
    assert {row["case"] for row in rows} == {"0", "1", "2"} and {row["place"] for row in rows} == {0, 1, 2}


def test_what_is_timed_has_nothing_beside_it():
    for platform in ("gpu", "tpu"):
        fast = [*fast_models.model_cases(platform, {}, False), *right_bits.bit_cases(platform)]
        fast += [command_buffers.case("shape", {}, {})]
        fast += [case for _, case in fast_layers.cases_of("lstm x", Layers("lstm", 1, 8, 2, 3), platform, {})]
        assert fast and not any(case.beside for case in fast)
        assert all(case.beside for case in right_cells.cell_cases(platform, right_cells.TINY))


def test_lists_are_merged_by_their_shares():
    few, many = [case("x1"), case("x2")], [case(f"y{k}") for k in range(4)]
    assert [one.name for one in by_turns(few, many)] == ["x1", "y0", "y1", "x2", "y2", "y3"]


def test_the_record_is_whole_after_every_row(tmp_path):
    record = Record(tmp_path, "python x", smoke=True)
    for k in range(3):
        record.add([{"part": "right", "case": str(k)}])
        assert len(json.loads(record.path.read_bytes())["rows"]) == k + 1
    record.write(left_out=["z"])
    assert json.loads(record.path.read_bytes()) == json.loads(json.dumps(record.content))
    assert [path.name for path in tmp_path.iterdir()] == ["cpu-smoke.json"] and file_name(
        "NVIDIA H200"
    ) == "nvidia-h200"


def test_a_record_goes_on_with_what_it_lacks(tmp_path, monkeypatch):
    record = Record(tmp_path, "python x", smoke=True)
    rows = [{"case": "a", "right": True}, {"case": "b", "right": False}, {"case": "c", "failed": "so"}, {"case": "d"}]
    for row in rows:
        record.add([row])
    record.write(left_out=["e"])
    again = Record(tmp_path, "python x --minutes 2", smoke=True)
    assert again.done == {"a", "d"} and again.content["commands"] == ["python x", "python x --minutes 2"]
    again.write(ceilings={})
    on_disk = json.loads(again.path.read_bytes())
    assert on_disk["rows"] == rows and on_disk["left_out"] == ["e"]  # nothing is lost before it is asked again
    again.add([{"case": "b", "right": True}, {"case": "b", "work": "2"}])
    assert [row["case"] for row in json.loads(again.path.read_bytes())["rows"]] == ["a", "c", "d", "b", "b"]
    assert not Record(tmp_path, "python x", smoke=False).rows  # a smoke test's numbers mean nothing
    monkeypatch.setattr("experiments.accelerators.record.versions", lambda: {"jax": "another"})
    with pytest.raises(UserError, match=r"goes on with the same versions, got .*cpu-smoke\.json with others"):
        Record(tmp_path, "python x", smoke=True)


@pytest.mark.parametrize("content", ["{", "[]", "{}", "null"])
def test_what_is_no_record_is_refused_and_stays(tmp_path, content):
    path = tmp_path / "cpu-smoke.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"must be one that this command wrote, got .*cpu-smoke\.json; move it away"):
        Record(tmp_path, "python x", smoke=True)
    assert path.read_text() == content


def test_patterns_know_no_capitals():
    found = accelerator.parser().parse_args(["--only", "cudnn", "^step"]).only
    assert [bool(pattern.search("cuDNN forward")) for pattern in found] == [True, False]
    with pytest.raises(SystemExit):
        accelerator.parser().parse_args(["--only", "("])


def test_the_parts_of_what_is_wrong_are_told():
    truth = {"a": np.array([1.0, 2.0]), "b": (np.array([4.0]), np.array([1.0]))}
    found = {"a": np.array([1.0, 2.0]), "b": (np.array([5.0]), np.array([np.nan]))}
    assert errors_by_part(found, truth) == {"['a']": 0.0, "['b'][0]": 0.25, "['b'][1]": None}
    truth, found = {"a": np.array([100.0]), "b": np.array([1e-9])}, {"a": np.array([100.0]), "b": np.array([2e-9])}
    assert max(errors_by_part(found, truth).values()) == error(found, truth) < 1e-7  # next to nothing beside "a"


def test_every_engine_of_every_cell_has_a_case():
    names = [one.name for one in right_cells.cell_cases("gpu", right_cells.TINY)]
    assert len(names) == len(set(names))
    for kind in CELLS:
        for engine in right_cells.engines(kind):
            assert {f"{kind} {engine} {form}" for form in ("float32", "TF32", "bfloat16")} <= set(names)
    assert right_cells.engines("slstm") == ("scan",) and "cudnn" in right_cells.engines("lstm")
    assert not any("TF32" in one.name for one in right_cells.cell_cases("tpu", right_cells.TINY))


def test_the_flags_have_a_row_of_length_zero_and_ragged_ones():
    mask = right_cells.flags_of(right_cells.Size())["both"]["mask"]
    assert mask[:, 0].all() and not mask[:, 1].any() and mask[:, 2].sum() == 12 and 0 < mask[:, 3].sum() < 24


def test_errors_are_relative_to_the_largest_entry():
    truth = {"a": np.array([100.0, 0.0]), "b": np.array([1e-9])}
    found = {"a": np.array([100.0, 1.0]), "b": np.array([2e-9])}
    assert error(found, truth) == pytest.approx(0.01)  # "b" is next to nothing beside "a"
    assert error({"a": np.array([np.nan, 0]), "b": truth["b"]}, truth) == float("inf")
    assert verdict(float("inf"), 1.0) == {"right": False, "error": None, "bound": 1.0}


def product_of(steps):
    """h <- h W, so often: 2 B H H operations each."""

    def function(h, w):
        return jax.lax.scan(lambda h, _: (h @ w, None), h, None, length=steps)[0]

    return function, (jnp.ones((8, 16)), jnp.ones((16, 16)))


def test_the_work_of_a_loop_is_that_of_all_its_steps():
    cost = cost_over_time(product_of, 50)
    assert cost is not None and cost.operations == pytest.approx(50 * 2 * 8 * 16 * 16)
    assert cost.bytes == pytest.approx(50 * 4 * (16 * 16 + 2 * 8 * 16), rel=0.2)


def test_the_instructions_of_a_loop_are_those_of_one_turn():
    sizes = [loop_sizes(jax.jit(function).lower(*given).compile()) for function, given in map(product_of, (5, 50))]
    assert sizes[0] == sizes[1] and len(sizes[0] or []) == 1 and 1 <= sizes[0][0] <= 6  # the product, the counter
    straight = jax.jit(jnp.tanh).lower(jnp.ones(3)).compile()
    assert loop_sizes(straight) is None


def test_loops_are_unrolled_while_traced():
    def longest_loop():
        cell = lstm.__wrapped__(3, 4, recurrence="scan")
        params = jax.eval_shape(cell.init, jax.random.key(0))
        xs = jax.ShapeDtypeStruct((8, 2, 3), jnp.float32)
        jaxpr = jax.make_jaxpr(lambda p, xs: cell.unroll(p, cell.initial_carry(p, (2,)), xs))(params, xs)
        return [e.params["unroll"] for e in jaxpr.jaxpr.eqns if e.primitive.name == "scan"]

    assert longest_loop() == [1]
    with unrolled(4):
        assert longest_loop() == [4]
    assert longest_loop() == [1]


def test_what_bounds_a_program():
    ceilings = {"float32": 1e9, "bytes": 1e9}
    found = bound_by(Cost(5e6, 1e6), ceilings, "float32", 10.0)
    assert (found["bound_by"], found["share_of_ceiling"]) == ("operations", 0.5)
    assert bound_by(Cost(1e6, 8e6), ceilings, "float32", 10.0)["bound_by"] == "bytes"
    assert bound_by(Cost(1e6, 1e6), ceilings, "float32", 10.0)["bound_by"] == "neither"
    assert bound_by(None, ceilings, "float32", 10.0) == {} == bound_by(Cost(1, 1), {}, "float32", 1.0)


def timing(engine, ms, **changes):
    fields = {**Layers("lstm", 1, 650, 20, 35)._asdict(), "engine": engine, "unroll": 1, "form": "float32"}
    row = {"part": "fast", "case": engine, "work": "lstm both", "by": engine, "median_ms": ms, "minimum_ms": ms}
    return row | fields | changes


ROWS = [
    timing("scan", 3.0),
    timing("fused", 2.0),
    timing("scan", 0.1, unroll=16),
    timing("scan", 0.2, command_buffers=True),
    timing("fused", 0.1, form="bfloat16"),
    timing("cudnn", 0.5),
    timing("scan", 1.0, direction="forward"),
    timing("scan", 1.0, cell="gru"),  # alone: nothing to compare it with
]


def test_the_engines_that_auto_chooses_are_read_from_the_rows():
    assert list(engine_table.fastest(ROWS)) == [("lstm", 20, 35, 650, "fused")]
    names = {}
    exec(engine_table.source([{"device": "NVIDIA H200", "rows": ROWS}, {"device": "empty", "rows": []}]), names)
    assert {device: [tuple(row) for row in rows] for device, rows in names["MEASURED"].items()} == {
        "NVIDIA H200": [("lstm", 20, 35, 650, "fused")]
    }


def test_the_table_in_the_code_is_that_of_the_records():
    assert engine_table.TABLE.read_text() == engine_table.source(engine_table.records())


def test_the_page_says_what_the_record_of_the_gpu_says():
    page = " ".join((ROOT / "lm_jax" / "cells" / "README.md").read_text().split())
    record = json.loads((engine_table.RESULTS / "nvidia-h200.json").read_bytes())
    times: dict[str, dict[str, float]] = {}
    for row in record["rows"]:
        if "median_ms" in row and row["form"] == "float32" and row.get("direction", "both") == "both":
            times.setdefault(row["work"], {})[row["by"]] = row["median_ms"]
    assert len(times) == 7
    for found in times.values():
        ours = found["fused"]
        others = [f"{found[name] / ours:.2f}" if name in found else "" for name in ("scan", "torch")]
        assert f"{ours:.3g} ms | {' | '.join(others)} |".replace("|  |", "| |") in page
    right = [row for row in record["rows"] if row["part"] == "right"]
    assert [row["case"] for row in right if not row["right"]] == ["lstm cudnn float32"] and len(right) >= 11
    assert max(row["error"] for row in right if row["right"]) < 6e-7
    layers = [found for work, found in times.items() if "torch" in found and not work.startswith("step")]
    shares = [f"{found['fused'] / found['torch']:.2f}" for found in layers]
    index = " ".join((ROOT / "experiments" / "README.md").read_text().split())
    assert f"{min(shares)} to {max(shares)} of torch's time" in index
    graphs = [times[f"{cell} B16 T1024 H768 both"][command_buffers.NAME] for cell in ("lstm", "gru")]
    tf32 = next(row["median_ms"] for row in record["rows"] if row["case"] == "step WikiText-2 fused TF32")
    assert f"{graphs[0]:.1f} ms for the LSTM" in page and f"{graphs[1]:.1f} for the GRU" in page
    assert f"takes {tf32:.2f} ms" in page


def test_auto_takes_the_nearest_shape_of_its_cell():
    rows = [
        Measured("lstm", 16, 1024, 768, "fused"),
        Measured("lstm", 256, 256, 256, "scan"),
        Measured("gru", 16, 1024, 768, "scan"),
        Measured("gru", 20, 35, 650, "scan"),
    ]
    assert selection.fastest(rows, "lstm", (20, 900, 650)) == "fused"
    assert selection.fastest(rows, "lstm", (200, 200, 200)) == "scan"
    assert selection.fastest(rows, "gru", (16, 1024, 768)) == "scan"
    assert selection.fastest(rows, "mgu", (20, 900, 650)) == "scan" == selection.fastest(rows, "gru", None)
    assert selection.fastest([], "lstm", (1, 1, 1)) == "scan"
    assert selection.fastest(rows, "lstm", (0, 0, 0)) in ("scan", "fused")  # an empty batch has a shape too


def test_on_many_devices_auto_is_fused(monkeypatch):
    monkeypatch.setattr(selection, "device_name", lambda: "a device that was not measured")
    assert selection.engine("auto", "lstm", (20, 35, 200)) == "scan"
    assert selection.engine("auto", "lstm", (20, 35, 200), many_devices=True) == "fused"


def test_tables_fit_a_screen():
    rows = [
        {"part": "right", "case": "lstm scan float32", "right": True, "error": 1e-6, "bound": 1e-4},
        {"part": "right", "case": f"a {'long ' * 20}name", "right": False, "error": None, "bound": 1e-4},
        {"part": "right", "case": "b", "failed": "RuntimeError: " + "x" * 200},
        {"part": "right", "case": "c", "refused": "not here"},
        *ROWS,
    ]
    record = {"device": "NVIDIA H200", "platform": "gpu", "versions": {"jax": "0.12"}, "date": "2026-01-01"}
    text = table.table({**record, "smoke": False, "rows": rows, "left_out": ["x"], "ceilings": {"bytes": 1e12}})
    assert max(map(len, text.splitlines())) <= 80
    assert "RIGHT: 1 of 3 cases" in text and "WRONG" in text and "FAILED" in text and "1 cases" in text
    assert "REPORT NVIDIA H200, jax 0.12: 1 of 3 right" in text and "lstm both scan 0.1 ms" in text


def test_shapes_are_those_that_are_asked_for():
    assert set(fast_layers.SHAPES) == {"B16 T1024 H768", "B64 T512 H1024", "B20 T35 H650", "B256 T256 H256"}
    assert all(name == f"B{b} T{t} H{h}" for name, (b, t, h) in fast_layers.SHAPES.items())
    ranked = list(fast_layers.cases_of("lstm x", Layers("lstm", 1, 8, 2, 3), "gpu", {}))
    names = [one.name for _, one in ranked]
    assert {one.name for rank, one in ranked if rank == 0} >= {"lstm x scan float32", "lstm x cudnn float32"}
    assert {f"lstm x {engine} {form}" for engine in ("scan", "fused", "cudnn") for form in ("float32", "bfloat16")} <= (
        set(names)
    )
    assert {f"lstm x scan, unroll {k} float32" for k in (2, 4, 8, 16)} <= set(names)


def test_a_process_that_xla_ends_is_a_row(monkeypatch):
    """As it does at a flag that it does not know."""
    one = command_buffers.case("shape", {"lstm": Layers("lstm", 1, 8, 2, 3)}, {}, flags="--xla_no_such_flag=true")
    ended = subprocess.CompletedProcess([], -6, "", "Unknown flags in XLA_FLAGS: --xla_no_such_flag=true")
    seen = {}
    monkeypatch.setattr(subprocess, "run", lambda command, env, **_: seen.update(flags=env["XLA_FLAGS"]) or ended)
    assert "ended with -6: Unknown flags" in one.run()["failed"] and "--xla_no_such_flag=true" in seen["flags"]


@pytest.mark.slow
def test_a_process_of_its_own_measures_and_answers():
    row = command_buffers.case("shape", {"lstm both": Layers("lstm", 1, 8, 2, 3)}, {"bytes": 1e9}, flags="").run()
    (one,) = row["several"]
    assert one["median_ms"] > 0 and one["command_buffers"] and one["by"] == command_buffers.NAME


@pytest.mark.slow
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_reference_of_cudnn_is_our_lstm(bidirectional):
    """Of full rows, by our cell with the same weights."""
    x, h, c, weights = (np.asarray(a, np.float64) for a in right_cudnn.drawn(bidirectional))
    lengths = right_cudnn.LENGTHS["full"]
    ys, _, _ = right_cudnn.reference(x, h, c, weights, lengths, bidirectional)
    from jax.experimental import rnn

    w_x, w_h, b_x, b_h = rnn.unpack_lstm_weights(jnp.asarray(weights), right_cudnn.E, right_cudnn.H, 1, bidirectional)
    cell = lstm(right_cudnn.E, right_cudnn.H, recurrence="scan")
    params = cell.init(jax.random.key(0))
    for k in range(2 if bidirectional else 1):
        own = params.replace(w_x=w_x[k].T, w_h=w_h[k].T, b=b_x[k] + b_h[k])
        carry = cell.initial_carry(own, (right_cudnn.B,))._replace(h=jnp.asarray(h[k]), c=jnp.asarray(c[k]))
        inputs = jnp.swapaxes(jnp.asarray(x), 0, 1)[:: -1 if k else 1]
        found = cell.unroll(own, carry, inputs)[1][:: -1 if k else 1]
        units = slice(k * right_cudnn.H, (k + 1) * right_cudnn.H)
        np.testing.assert_allclose(jnp.swapaxes(found, 0, 1), ys[..., units], atol=2e-6)
