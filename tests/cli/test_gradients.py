"""gradients: what is printed and written are the numbers of the library; after an error nothing is written."""

import csv
import json

import numpy as np
import pytest

import lm_jax
from lm_jax.cli.screen import Screen
from tests.cli.conftest import tree
from tests.cli.test_bad_input import assert_refused
from tests.queries.untrained import untrained
from tests.tasks.labelled import classify_config
from tests.tasks.parallel import translate_config
from tests.tasks.tagged import tag_config


SMALL = ("--texts", 2, "--length", 12, "--max-lag", 5)
PROFILE = {"gradients.json", "gradients.csv", "lag_profile.png", "report.html"}
MAP = {"heat_map.json", "heat_map.csv", "heat_map.png", "report.html"}
TEXT = "a bad cab"


@pytest.fixture(scope="module")
def expected(finished):
    """What the command line has to print."""
    return lm_jax.gradients(finished, texts=2, length=12, max_lag=5)


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_the_profile_in_words_and_in_files(command, finished, expected, tmp_path):
    before = tree(finished)
    code, out, err = command("gradients", finished, *SMALL, "--out", tmp_path / "out")
    assert (code, err) == (0, "") and tree(finished) == before and names(tmp_path / "out") == PROFILE
    lines = out.splitlines()
    assert lines[0].startswith("A gradient ") and "2 texts of 12 predictions, each after 12 tokens" in lines[1]
    assert [line.split()[:2] for line in lines[3:7]] == [["layer", "leaf"], ["0", "h"], ["0", "c"], ["0", "all"]]
    record = json.loads((tmp_path / "out" / "gradients.json").read_text())
    assert record["answer"] == lines[0] and record["command"].startswith(f"lm-jax gradients {finished} --texts 2")
    assert record["results"]["warm_up"] == 12 and len(record["rows"]) == 3 * 5
    with (tmp_path / "out" / "gradients.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["leaf"], row["lag"]) for row in rows[:6]] == [("h", f"{lag}") for lag in range(1, 6)] + [("c", "1")]
    found = [float(row["log_median"]) for row in rows]
    wanted = np.concatenate([expected.profile[leaf].log_median for leaf in ("h", "c", "all")])
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    page = (tmp_path / "out" / "report.html").read_text()
    assert lines[0] in page.replace("&#x27;", "'") and "data:image/png;base64," in page


def test_the_profile_as_json_lands_in_the_run(command, finished, expected, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name, content in tree(finished).items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(content)
    code, out, err = command("gradients", run, *SMALL, "--layer", -1, "--json")
    record = json.loads(out)
    assert (code, err) == (0, "") and names(run / "gradients") == PROFILE
    assert {record["texts"], record["length"]} == {2, 12} and record["layer"] == 0
    first = record["profiles"][0]
    assert (first["leaf"], first["below_0.1"]) == ("h", expected.profile["h"].horizons[0.1])
    assert {str(run / "gradients" / name) for name in PROFILE} == set(record["written"])
    # what it wrote itself it may write again
    assert command("gradients", run, *SMALL)[0] == 0
    assert command("evaluate", run)[0] == 0


def test_the_map_of_a_text(command, finished, tmp_path):
    result = lm_jax.queries.gradient_map(finished, TEXT)
    words = ("gradients", finished, "--text", TEXT, "--out", tmp_path / "out")
    code, out, err = command(*words)
    assert (code, err) == (0, "") and names(tmp_path / "out") == MAP
    lines = out.splitlines()
    assert lines[0].startswith("More than 10 % of the gradient of the loss on the last token, 'b', reaches back to ")
    assert [line.split()[0] for line in lines[2:12]] == ["predicted", *"a␣bad␣cab"]
    record = json.loads(command(*words, "--json")[1])
    assert record["past"] == list(result.past) and record["answer"] == lines[0] and record["unknown"] == []
    found = np.array(record["log_shares"], float)  # null is NaN
    np.testing.assert_allclose(found, result.log_shares, rtol=1e-12)
    assert [row["token"] for row in record["rows"]] == list(result.predicted)
    assert (tmp_path / "out" / "heat_map.png").read_bytes().startswith(b"\x89PNG")


def test_a_terminal_shows_the_map_itself(command, finished, tmp_path, monkeypatch):
    words = ("gradients", finished, "--text", TEXT, "--out", tmp_path / "out")
    monkeypatch.setattr("lm_jax.cli.screen.screen_of", lambda stream: Screen(True, False, 80))
    shown = command(*words)[1]
    assert "\na ██\n" in shown and "██ over 50 %" in shown and "predicted" not in shown
    monkeypatch.setattr("lm_jax.cli.screen.screen_of", lambda stream: Screen(True, False, 15))
    assert "██" not in command(*words)[1]


def test_the_map_of_any_run(command, tmp_path):
    """The answers about one text of a classifier's run; what is printed and written are the numbers of the library."""
    run = untrained(classify_config(tmp_path / "texts.tsv", cell="rnn"), tmp_path / "run")
    words = ("gradients", run, "--text", "good a cab", "--target", "poor", "--out", tmp_path / "out")
    code, out, err = command(*words)
    result = lm_jax.load(run).gradient_map("good a cab", "poor")
    assert (code, err) == (0, "") and names(tmp_path / "out") == MAP
    assert out.startswith("Of the gradient norm of log P by 3 words (label): 'poor' rests most on ")
    record = json.loads(command(*words, "--json")[1])
    np.testing.assert_allclose(record["norms"], result.norms, rtol=1e-6)
    assert [state["direction"] for state in record["states"]] == ["left to right", "right to left"]
    shares = [record["rows"][0][f"share_{rank}"] for rank in (1, 2, 3)]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1)
    assert (tmp_path / "out" / "heat_map.png").read_bytes().startswith(b"\x89PNG")
    assert_refused(command("gradients", run, "--text", "a", "--target", "x"), "--target must be a label of the run")


@pytest.mark.parametrize(
    ("make", "text"), [(classify_config, "good a"), (tag_config, "a cab"), (translate_config, "eins.")]
)
def test_a_run_of_sentences_needs_a_text_and_the_refusal_says_so(make, text, command, tmp_path):
    run = untrained(make(tmp_path / "data.tsv"), tmp_path / "run")
    before, kind = tree(tmp_path), lm_jax.load(run).model_type
    refused = command("gradients", run)
    assert refused == (
        2,
        "",
        f"error: gradients of the run of a {kind} need --text, the one to explain, got none: {run}\n",
    )
    assert tree(tmp_path) == before
    assert command("gradients", run, "--text", text)[0] == 0  # as it was told


BAD = {
    "--target x": ["--target needs --text, got 'x' without"],
    "--text cab --target x": ["a language model predicts the text itself, got --target 'x' too"],
    "--text a": ["a text of 2 to 400 tokens, got 1"],
    "--text zebra": ["every character must be in the vocabulary, got 'z' in line 1"],
    "--text cab --max-lag 3 --data x": ["--text measures one text", "got --data, --max-lag too"],
    "--length 20 --max-lag 20": ["--max-lag must be below the number of predictions of a text, 20, got 20"],
    "--layer 1": ["--layer must be from 0 to 0, or -1 for the top, got 1"],
    "--texts 0": ["--texts must be a whole number of at least 1, got 0"],
    "--data missing.txt": ["must be an existing", "missing.txt"],
    "--split dev": ["dev"],
    "--out FILE/in": ["--out must be a folder that can be written"],
}


@pytest.mark.parametrize(("words", "parts"), BAD.items(), ids=BAD)
def test_bad_requests_leave_nothing_behind(command, finished, tmp_path, words, parts):
    (tmp_path / "file").write_text("in the way")
    before = tree(finished)
    words = words.replace("FILE", str(tmp_path / "file")).split()
    assert_refused(command("gradients", finished, *words), *parts)
    assert tree(finished) == before and not (finished / "gradients").exists()


@pytest.mark.parametrize("words", [(), ("--text", TEXT)], ids=["profile", "map"])
def test_what_has_no_recurrence_is_refused(command, corpus, tmp_path, words):
    run = lm_jax.train(lm_jax.NGramConfig(lm_jax.DataConfig(corpus), order=2), tmp_path / "counts").folder
    before = tree(run)
    assert_refused(command("gradients", run, *words), "need a recurrent network, got 2-gram MKN")
    assert_refused(command("gradients", tmp_path / "nowhere", *words), "a run must be an existing folder", "nowhere")
    assert tree(run) == before and not (tmp_path / "nowhere").exists()
