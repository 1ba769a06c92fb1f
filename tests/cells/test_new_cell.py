"""A new cell: one file and one line in the table; a cell of a user's own: a file or a function."""

import sys

import pytest

import lm_jax
from lm_jax.cells.user import user_cell
from lm_jax.cli.main import main
from lm_jax.config import CELLS, Kind, RecurrentConfig, TrainConfig
from lm_jax.errors import UserError
from lm_jax.models.build import from_config
from lm_jax.runs.open import open_run
from tests.runs.toy import assert_equal_runs, toy_config, write_corpus


MGU = '''
"""The minimal gated unit (Zhou et al. 2016)."""
import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from lm_jax.cells import Cell, scan_unroll
from lm_jax.config import setting


@dataclasses.dataclass(frozen=True)
class MGUConfig:
    kind: ClassVar[str] = "mgu"
    keep: float = setting(1.0, "Initial bias of the gate.")


def mgu(input_size, hidden_size, keep=1.0):
    def init(key):
        w = jax.random.normal(key, (input_size + hidden_size, 2 * hidden_size)) / 4
        return {"w": w, "b": jnp.full((hidden_size,), keep)}

    def initial_carry(params, batch_shape):
        return jnp.zeros((*batch_shape, hidden_size))

    def step(params, h, x):
        w_f, w_n = jnp.split(params["w"], 2, axis=-1)
        f = jax.nn.sigmoid(jnp.concatenate([x, h], -1) @ w_f + params["b"])
        h = f * h + (1 - f) * jnp.tanh(jnp.concatenate([x, f * h], -1) @ w_n)
        return h, h

    return Cell(init, initial_carry, step, scan_unroll(initial_carry, step), input_size, hidden_size)
'''
FLAGS = ("--steps", "4", "--hidden-size", "6", "--embedding-size", "3", "--batch-size", "4", "--bptt", "8")


@pytest.fixture
def text(tmp_path):
    return write_corpus(tmp_path / "text")


@pytest.fixture
def mgu_file(tmp_path, monkeypatch):
    """The file of the cell, as a module that can be imported."""
    (tmp_path / "mgu_of_a_test.py").write_text(MGU)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "mgu_of_a_test.py"
    sys.modules.pop("mgu_of_a_test", None)


def test_one_line_in_the_table_makes_it_a_choice_with_its_own_settings(mgu_file, text, tmp_path, monkeypatch, capsys):
    from mgu_of_a_test import MGUConfig

    monkeypatch.setitem(CELLS, "mgu", Kind("mgu_of_a_test:mgu", MGUConfig))
    main(["train", "--cell", "mgu", "--keep", "2.5", "--data", text, "--run", str(tmp_path / "run"), *FLAGS])
    assert "MGU 1x6" in capsys.readouterr().out
    opened = open_run(tmp_path / "run")
    assert opened.config.model.cell == MGUConfig(2.5)
    assert lm_jax.evaluate(tmp_path / "run").perplexity > 1
    with pytest.raises(SystemExit):
        main(["train", "--cell", "gru", "--keep", "1"])
    assert "--keep is a setting of mgu, got --cell gru" in capsys.readouterr().err


def test_a_cell_without_settings_needs_no_dataclass(mgu_file, monkeypatch, capsys):
    monkeypatch.setitem(CELLS, "mgu", Kind("mgu_of_a_test:mgu"))
    assert from_config(RecurrentConfig(cell="mgu", hidden_size=4), 5).vocab_size == 5
    with pytest.raises(SystemExit):
        main(["train", "--cell", "mgu", "--init", "uniform"])
    assert "--init is a setting of rnn, gru, lstm, got --cell mgu" in capsys.readouterr().err
    with pytest.raises(UserError, match="compute_dtype must be left out with cell mgu, got bfloat16"):
        from_config(RecurrentConfig(cell="mgu", compute_dtype="bfloat16"), 5)


@pytest.mark.slow  # a run of each is in many a fast test
@pytest.mark.parametrize("name", CELLS)
def test_every_cell_trains_by_its_name(name, text, tmp_path):
    run = lm_jax.train(toy_config(text, cell=name, steps=2), tmp_path / "run")
    assert run.results.step == 2 and open_run(run.folder).config.model.cell == CELLS[name].defaults(name)


def test_a_cell_in_a_users_file_is_given_again_whenever_its_run_is_opened(mgu_file, text, tmp_path, capsys):
    cell, run = f"{mgu_file}:mgu", str(tmp_path / "run")
    main(["train", "--cell", cell, "--data", text, "--run", run, *FLAGS])
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("next: ")]
    assert told and all(line.endswith(f" --cell {cell}") for line in told)
    for verb in (["evaluate", run], ["train", "--resume", run, "--steps", "6"], ["generate", run]):
        with pytest.raises(SystemExit) as caught:
            main(verb)
        assert caught.value.code == 2
        assert f"give --cell {cell} again: it is of a user's own file" in capsys.readouterr().err
    main(["evaluate", run, "--cell", cell])
    main(["train", "--resume", run, "--steps", "6", "--cell", cell])
    assert "resumed after step 4" in capsys.readouterr().out
    assert lm_jax.load(run, cell=cell).generate("ab", tokens=3)
    assert lm_jax.load(run, cell=user_cell(cell).factory).evaluate().perplexity > 1


def test_a_function_is_a_cell_in_python(mgu_file, text, tmp_path):
    from mgu_of_a_test import mgu

    config = toy_config(text, cell=mgu, decay_steps=20)
    straight = lm_jax.train(config, tmp_path / "straight")
    with pytest.raises(UserError, match=r"give cell mgu_of_a_test:mgu again"):
        lm_jax.load(straight.folder)
    assert lm_jax.load(straight.folder, cell=mgu).model is straight.model
    assert TrainConfig(model=RecurrentConfig(cell=mgu)).model.cell.kind == "mgu_of_a_test:mgu"
    lm_jax.train(toy_config(text, cell=mgu, steps=8, decay_steps=20), tmp_path / "run")
    lm_jax.resume(tmp_path / "run", config)
    assert_equal_runs(tmp_path / "run", straight.folder, step=20)


BAD = {
    "no file": ("nowhere.py:mgu", "a file that exists, got nowhere.py:mgu"),
    "no name": ("{file}:nothing", "must name a function in its file, got"),
    "no function": ("{file}:MGU_SIZE", "must name a function in its file, got"),
    "broken": ("{broken}:mgu", "a file that can be imported, got .*: invalid syntax|a file that can be imported"),
    "no cell": ("{file}:MGUConfig", "factory|Cell"),
}


@pytest.mark.parametrize(("name", "message"), BAD.values(), ids=BAD)
def test_what_is_no_cell_is_told_in_one_line(name, message, mgu_file, text, tmp_path, capsys):
    (tmp_path / "broken.py").write_text("def mgu(:")
    name = name.format(file=mgu_file, broken=tmp_path / "broken.py")
    with pytest.raises(SystemExit) as caught:
        main(["train", "--cell", name, "--data", text, "--run", str(tmp_path / "run"), *FLAGS])
    error = capsys.readouterr().err
    assert caught.value.code == 2 and error.count("\n") == 1 and not (tmp_path / "run").exists()
    assert any(part in error for part in message.split("|")) or __import__("re").search(message, error)
