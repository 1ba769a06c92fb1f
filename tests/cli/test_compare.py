"""compare: the table, its notes, the files of --out, and what is refused in one line before anything is written."""

import csv
import json
import math
import shutil

import pytest

import lm_jax
from lm_jax.cli.tables import draw
from lm_jax.config import NGramConfig
from lm_jax.report.comparison_figure import figure
from lm_jax.report.comparison_files import to_json
from lm_jax.report.comparison_table import notes
from lm_jax.report.comparison_table import table as compared
from tests.cli.conftest import tree


@pytest.fixture(scope="module")
def katz(corpus, tmp_path_factory):
    """The folder of an n-gram run of the same text."""
    config = NGramConfig(data=lm_jax.DataConfig(corpus), order=2, method="katz")
    return lm_jax.train(config, tmp_path_factory.mktemp("ngram") / "katz").folder


@pytest.fixture
def rows(finished, katz):
    """Two rows to change."""
    return lm_jax.compare([finished, katz])


def without_clock(rows):
    """All but the speed, of records or of what JSON makes of them."""
    rows = [row if isinstance(row, dict) else row._asdict() for row in rows]
    return [{name: value for name, value in row.items() if name != "tokens_per_second"} for row in rows]


def test_the_table(command, finished, katz, rows):
    code, out, err = command("compare", finished, katz)
    head, one, two, *rest = out.splitlines()
    assert (code, err) == (0, "") and len(rest) == 3
    assert head.split("  ")[0] == "run" and head.endswith(" p")
    assert len(head) == len(one) == len(two)  # aligned
    assert one.startswith("run ") and f"{rows[0].parameters:,} parameters" in one and "0.00%" in one
    assert two.startswith("katz ") and f"{rows[1].ngrams:,} n-grams" in two
    for line, row in zip((one, two), rows, strict=True):
        for part in (
            f"{row.perplexity:.3f} [{row.perplexity_low:.3f}, {row.perplexity_high:.3f}]",
            f"{row.bits_per_character:.3f}",
            f"{row.bytes / 2**20:.2f}",
        ):
            assert f" {part} " in line
    assert one.split()[-2:] == ["-", "-"]
    difference = (rows[1].difference, rows[1].difference_low, rows[1].difference_high)
    assert "{:+.4f} [{:+.4f}, {:+.4f}]".format(*difference) in two and float(two.split()[-1]) == pytest.approx(
        rows[1].p_value, abs=6e-5
    )
    assert "split test: " in rest[0] and f"{rows[0].tokens:,} tokens" in rest[0] and "10 streams" in rest[0]
    assert "2,000 resamples of 8 blocks of 1 line, seed 0; p: sign flips" in rest[1]
    assert "fewer than 20 blocks" in rest[2]


def test_one_run_is_compared_with_nothing(command, finished):
    code, out, _ = command("compare", finished)
    assert code == 0 and "row above" not in out and "sign flips" not in out


def test_json_is_the_rows_of_python(command, finished, katz):
    options = ["--samples", 300, "--seed", 4, "--eval-streams", 2, "--split", "valid", "--sort"]
    code, out, err = command("compare", finished, katz, *options, "--json")
    assert (code, err) == (0, "") and out.count("\n") == 1
    expected = lm_jax.compare([finished, katz], split="valid", samples=300, seed=4, eval_streams=2, sort=True)
    assert without_clock(json.loads(out)["rows"]) == without_clock(expected)
    assert json.loads(out)["notes"] == notes(expected)


def test_the_files(command, finished, katz, tmp_path):
    out = tmp_path / "some" / "where"
    code, text, err = command("compare", finished, katz, "--out", out)
    names = ["ledger.json", "ledger.csv", "ledger.png"]
    assert (code, err) == (0, "") and sorted(tree(tmp_path)) == sorted(f"some/where/{name}" for name in names)
    assert text.splitlines()[-3:] == [f"written: {out / name}" for name in names]
    rows = json.loads((out / "ledger.json").read_text())["rows"]
    assert without_clock(rows) == without_clock(lm_jax.compare([finished, katz]))
    with (out / "ledger.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    for row, cells in zip(rows, read, strict=True):
        assert list(cells) == list(row)
        assert {name: "" if value is None else str(value) for name, value in row.items()} == cells
    assert (out / "ledger.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert command("compare", finished, "--out", out)[0] == 0  # a new ledger takes the place of the old one
    assert len(json.loads((out / "ledger.json").read_text())["rows"]) == 1


def test_a_mixture_is_one_more_row(command, finished, katz, tmp_path):
    """With its weights in the notes and in both files; not the weights of the runs, which have none."""
    words = ["compare", finished, katz, "--mixture", "--cache", 50]
    code, out, err = command(*words, "--out", tmp_path)
    one, two, row = lm_jax.compare([finished, katz], mixture=True, cache=50)
    *_, line = out.splitlines()[:4]
    assert (code, err) == (0, "") and line.startswith("mixture ")
    assert f" {one.parameters:,} parameters + {two.ngrams:,} n-grams " in line
    assert f" {row.perplexity:.3f} [" in line and f" {row.difference:+.4f} [" in line
    assert f" {(one.bytes + two.bytes) / 2**20:,.2f} " in line
    weights = " + ".join(f"{row.weights[name]:.3f} {name}" for name in ("run", "katz", "cache of 50 tokens"))
    assert f"mixture = {weights}, weights fitted on the validation text" in out.splitlines()
    assert out.count(" fitted on the validation text") == 1
    assert without_clock(json.loads(command(*words, "--json")[1])["rows"]) == without_clock([one, two, row])
    read = json.loads((tmp_path / "ledger.json").read_text())["rows"]
    assert read[2]["weights"] == row.weights and read[0]["weights"] is None
    with (tmp_path / "ledger.csv").open(newline="") as file:
        cells = [line["weights"] for line in csv.DictReader(file)]
    assert cells[:2] == ["", ""] and json.loads(cells[2]) == row.weights
    figure([one, two]).savefig(tmp_path / "runs.png", dpi=120)
    assert (tmp_path / "ledger.png").read_bytes() != (tmp_path / "runs.png").read_bytes()


def test_a_cache_of_an_n_gram_model_has_no_parameters(command, katz):
    _, out, _ = command("compare", katz, "--mixture", "--cache", 5)
    ngrams = f"{lm_jax.compare([katz])[0].ngrams:,} n-grams"
    assert "parameters" not in out and out.count(f" {ngrams} ") == 2


def test_different_vocabularies(command, finished, finished_words):
    code, out, _ = command("compare", finished, finished_words)
    head, one, two, *rest = out.splitlines()
    assert code == 0 and "bits/char [95 %]" in head and "bits/byte" in head and "bits/char vs row above" in head
    rows = lm_jax.compare([finished, finished_words])
    for line, row in zip((one, two), rows, strict=True):
        interval = row.interval("bits_per_character")
        assert "-" in line.split() and "{:.3f} [{:.3f}, {:.3f}]".format(*interval) in line
    assert any(
        "vocabularies differ: " in line and "6 entries (char)" in line and "7 entries (word)" in line for line in rest
    )


def table(rows):
    """The table where there is room for all of it."""
    return "\n".join(draw(compared(rows), 300))


def changed(rows, number, **values):
    """The rows with some values of one of them changed."""
    return [row._replace(**values) if i == number else row for i, row in enumerate(rows)]


def test_bits_that_leave_something_out_are_marked(rows):
    text = "\n".join([table(changed(rows, 1, spelled=False)), *notes(changed(rows, 1, spelled=False))])
    assert f"{rows[1].bits_per_character:.3f}*" in text and "\n* too low: " in text
    assert "*" not in table(rows) and not any("too low" in note for note in notes(rows))


def test_an_infinite_perplexity(rows, tmp_path):
    names = [f"{name}{end}" for name in ("perplexity", "bits_per_character") for end in ("", "_low", "_high")]
    infinite = changed(rows, 0, impossible=1234, **dict.fromkeys(names, math.inf))
    assert " inf " in table(infinite) and "nan" not in table(infinite) and "[inf" not in table(infinite)
    assert any("gives probability 0 to 1,234 tokens" in note for note in notes(infinite))
    read = json.loads(to_json(infinite), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert read["rows"][0]["perplexity"] is None and read["rows"][1]["perplexity"] == rows[1].perplexity
    for number, some in enumerate((infinite, infinite[:1], rows, changed(rows, 0, perplexity=1e5), rows * 6)):
        figure(some).savefig(tmp_path / f"{number}.png")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 5


LONE = {"blocks": 1, "block_size": 3}


def test_one_block_has_no_interval(rows):
    """Nothing is known of other texts: anything between the ends of the scale."""
    text = table(changed(rows, 0, perplexity_low=0.0, perplexity_high=math.inf))
    assert f"{rows[0].perplexity:.3f} [0.000, inf]" in text
    assert any("2,000 resamples of 1 block of 3 lines, seed 0" in note for note in notes([rows[0]._replace(**LONE)]))


def test_small_p_values(rows):
    assert table(changed(rows, 1, p_value=1e-5)).endswith("1e-05")
    assert table(changed(rows, 1, p_value=0.00049975)).endswith("0.0005")
    assert table(changed(rows, 1, p_value=1.0)).endswith("1.0000")


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A working folder with something in the way."""
    folder = tmp_path / "desk"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "file").write_text("in the way")
    (folder / "short.txt").write_text("a short text\n" * 30)
    return folder


REFUSED = {
    "--out file": ["--out must be a folder that can be written", "file"],
    "--out file/below": ["--out must be a folder that can be written", "file/below"],
    "--out /proc/none/below": ["--out must be a folder that can be written", "/proc/none"],
    "--out new/folder --data missing.txt": ["must be an existing file or folder", "missing.txt"],
    "--out new --data short.txt": ["every character must be in the vocabulary, got 's' in line 1"],
    "file": ["a run folder holds config.json", "file"],
    "nowhere": ["a run must be an existing folder", "nowhere"],
    "--samples 5": ["--samples must be at least 100", "5"],
    "--seed -1": ["--seed must be a whole number of at least 0, got -1"],
    "--eval-streams 0": ["--eval-streams must be a whole number of at least 1, got 0"],
    "--split dev": ["dev"],
    "--mixture": ["needs two different runs, or one run with --cache given, got", "run"],
    "--mixture --split valid": ["a mixture is judged on the test split only", "got valid"],
    "--mixture --cache 0": ["--cache must be a whole number of at least 1, got 0"],
    "--cache 9": ["--cache must go with --mixture", "got cache 9 alone"],
    "--sampels 9": ["--sampels", "did you mean --samples?"],
}


@pytest.mark.parametrize(("words", "parts"), REFUSED.items(), ids=REFUSED)
def test_bad_input_is_refused_in_one_line(command, desk, finished, words, parts):
    before = tree(desk), tree(finished), sorted(desk.iterdir())
    code, out, err = command("compare", finished, *words.split())
    assert (code, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1
    for part in parts:
        assert part in err
    assert (tree(desk), tree(finished), sorted(desk.iterdir())) == before


def test_no_run_at_all(command):
    code, out, err = command("compare")
    assert (code, out) == (2, "") and "required: RUN" in err and err.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_found_before_scoring(command, desk, finished, monkeypatch):
    monkeypatch.setattr("lm_jax.queries.block_scores.token_log_probs", lambda *_, **__: pytest.fail("scored"))
    assert command("compare", finished, "--out", "file")[0] == 2


def test_a_run_without_a_checkpoint_is_found_before_scoring(command, desk, finished, monkeypatch):
    monkeypatch.setattr("lm_jax.queries.block_scores.token_log_probs", lambda *_, **__: pytest.fail("scored"))
    shutil.copytree(finished, desk / "begun")
    shutil.rmtree(desk / "begun" / "states")
    code, _, err = command("compare", finished, "begun")
    assert code == 2 and "a checkpoint must be whole to be read" in err and "begun/states" in err
