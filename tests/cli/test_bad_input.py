"""Bad input: one line that begins with "error: ", exit code 2, and nothing written."""

import shutil

import pytest

from tests.cli.conftest import tree


@pytest.fixture
def desk(tmp_path, monkeypatch, corpus):
    """A working folder with some texts in it."""
    folder = tmp_path / "desk"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "empty.txt").write_bytes(b"")
    (folder / "blank.txt").write_bytes(b"\n\n \n")
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 40)
    (folder / "nul.txt").write_bytes(b"text with\x00a hole\n" * 40)
    (folder / "short.txt").write_text("a short text\n" * 30)
    (folder / "one_line.txt").write_text("all in one line " * 400)
    (folder / "one_word.txt").write_text("\u00a0\n" * 9999)
    (folder / "file").write_text("in the way")
    (folder / "half").mkdir()
    (folder / "half" / "train.txt").write_text("text\n")
    shutil.copytree(corpus, folder / "text")
    return folder


def assert_refused(result, *parts):
    """The rule, and what was given, in one line."""
    code, out, err = result
    assert code == 2 and out == "", (code, out, err)
    assert err.startswith("error: ") and err.count("\n") == 1 and err.endswith("\n"), err
    assert len(err) < 400
    for part in parts:
        assert part in err, err


TRAIN = {
    "--data missing.txt": ["--data must be an existing", "missing.txt"],
    "--data empty.txt": ["must hold some text", "empty.txt"],
    "--data blank.txt": ["must hold some text", "blank.txt"],
    "--data binary.txt": ["must be UTF-8", "binary.txt"],
    "--data nul.txt": ["binary file", "nul.txt"],
    "--data one_line.txt": ["needs more lines, got 1 in", "one_line.txt; 20 of the same length are enough"],
    "--data half": ["half", "without valid"],
    "--data short.txt": ["must fill one batch of 32 streams x 64 steps = 2,048 tokens", "lower --batch-size or --bptt"],
    "--data one_word.txt --level word": ["a vocabulary needs at least 2 entries, got 1"],
    "--data text --batch-size 4000": ["must fill one batch"],
    "--data text --batch-size 0": ["--batch-size must be a whole number of at least 1, got 0"],
    "--data text --steps -3": ["--steps must be a whole number of at least 1, got -3"],
    "--data text --dropout 1": ["--dropout ", "[0, 1)", "1.0"],
    "--data text --lr 0": ["--learning-rate must be positive", "0.0"],
    "--data text --lr nan": ["--learning-rate must be positive", "nan"],
    "--data text --clip 0": ["--clip must be positive", "0.0"],
    "--data text --tied --bptt 4 --batch-size 4": [
        "tied softmax needs --embedding-size equal to --hidden-size",
        "64 and 256; give --embedding-size 256",
    ],
    "--data text --hidden-size ten": ["--hidden-size must be a whole number, got 'ten'"],
    "--data text --cell elman": ["got 'elman'; FILE.py:NAME"],
    "--data text --level line": ["--level must be one of char, byte, word, bpe, got 'line'"],
    "--data text --hiden-size 9": ["--hiden-size", "did you mean --hidden-size?"],
    "--data text --batch-size": ["--batch-size: expected one argument"],
    "--data text --cell gru --forget-bias 1.0": ["--forget-bias is a setting of lstm"],
    "--data text --gru-reset before": ["--gru-reset is a setting of gru, got --cell lstm"],
    "--data text --model window --weight-drop 0.5": ["--weight-drop is a setting of recurrent, got --model window"],
    "--data text --schedule constant --decay-steps 9": [
        "--decay-steps is a setting of cosine, got --schedule constant"
    ],
    "--data text --averaging ema --nonmono 5": ["--nonmono is a setting of ntasgd, got --averaging ema"],
    "--data text --cell gru --recurrence cudnn": ["--recurrence must be one of auto, scan, fused, pallas, got 'cudnn'"],
    "--data text --recurrence pallas": ['--recurrence "pallas" needs a TPU, got cpu; choose scan'],
    "--data text --cutoff-factor 4": ["--cutoff-factor needs --cutoffs, got 4 without"],
    "--data text --dropout-layer 0.5": ["--dropout-layer needs --layers above 1, got 0.5 without"],
    "--data text --dropout-kind locked": ["--dropout-kind needs --dropout above 0, got locked without"],
    "--data text --min-count 2": [
        "--min-count and --max-vocab are for words (--max-vocab for bpe too), got level char"
    ],
    "--data text --steps 3 --epochs 2": ["in --steps or in --epochs, got both"],
    "--data text --lr=x": ["--learning-rate must be a number, got 'x'"],
    "--data text --level ward": ["did you mean word?"],
    "--data text surplus": ["the data are given once, as FILE or as --data FILE, got surplus and text"],
    "short.txt surplus": ["unrecognized arguments: surplus"],
    "missing.txt": ["--data must be an existing", "missing.txt"],
    "--data shrot.txt": ["got shrot.txt; did you mean short.txt?"],
    "--data shakespear": ["got shakespear; did you mean tiny-shakespeare?"],
    "--data text --model lstm": [
        "--model must be one of recurrent, window, attention, got 'lstm'; did you mean --cell lstm?"
    ],
    "--data text --model word": ["did you mean --level word?"],
    "--data text --cell LSTM": ["got 'LSTM'; did you mean lstm?"],
    "--data text --cell window": ["got 'window'; did you mean --model window?"],
    "--data text --level words": ["did you mean word?"],
    "--data text --level character": ["did you mean char?"],
    "--data text --optimizer ADAMW": ["did you mean adamw?"],
    "--data text --window 8": ["--window is a setting of window, got --model recurrent; give --model window"],
    "--data text --context 8": ["--context is a setting of attention, got --model recurrent; give --model attention"],
    "--data text --model attention --cell gru": ["--cell is a setting of recurrent, got --model attention"],
    "--data text --model attention --window 8": ["--window is a setting of window, got --model attention"],
    "--data text --model attention --embedding-size 8": ["--embedding-size is a setting of recurrent, window, got"],
    "--data text --model attention --heads 3": ["--heads must divide --hidden-size 128 into parts", "got 3"],
    "--data text --model attention --kv-heads 3": ["--kv-heads must divide --heads 4, got 3"],
    "--data text --model attention --context 1": ["--context must be a whole number of at least 2, got 1"],
    "--data text --lr=-1": ["--learning-rate must be positive", "got -1.0"],
    "--data text --run file": ["--run must be a new or an empty folder", "file"],
    "--data text --run text": ["--run must be a new or an empty folder", "--resume text"],
    "--data text --run file/run --bptt 4 --batch-size 4": ["file/run"],
    "--resume nowhere": ["a run must be an existing folder, got nowhere", "there are no runs in checkpoints/"],
    "--resume text": ["a run folder holds config.json", "text"],
    "--resume file": ["a run folder holds config.json", "file"],
    "--resume": ["--resume"],
}


@pytest.mark.parametrize(("words", "parts"), TRAIN.items(), ids=TRAIN)
def test_train(command, desk, words, parts):
    before = tree(desk)
    assert_refused(command("train", *words.split()), *parts)
    assert tree(desk) == before and not (desk / "checkpoints").exists()


EVALUATE = {
    "--data missing.txt": ["--data must be an existing", "missing.txt"],
    "--data empty.txt": ["must hold some text"],
    "--data short.txt": ["every character must be in the vocabulary, got 's' in line 1"],
    "--split dev": ["dev"],
    "--eval-streams 0": ["--eval-streams must be a whole number of at least 1, got 0"],
    "--colour red": ["--colour"],
}

GENERATE = {
    "--prompt zebra": ["every character must be in the vocabulary, got 'z' in line 1"],
    "--temperature 0": ["--temperature must be above 0, got 0.0"],
    "--temperature -1": ["--temperature must be above 0, got -1.0"],
    "--temperature nan": ["--temperature must be above 0, got nan"],
    "--top-k 0": ["--top-k must be at least 1, got 0"],
    "--top-p 0": ["--top-p must be above 0 and at most 1, got 0.0"],
    "--top-p 1.5": ["--top-p must be above 0 and at most 1, got 1.5"],
    "--tokens 0": ["--tokens must be a whole number of at least 1, got 0"],
    "--num-samples 0": ["--num-samples must be a whole number of at least 1, got 0"],
    "--tokens many": ["many"],
}


@pytest.mark.parametrize(
    ("verb", "words", "parts"),
    [
        (verb, words, parts)
        for verb, table in (("evaluate", EVALUATE), ("generate", GENERATE))
        for words, parts in table.items()
    ],
)
def test_evaluate_and_generate(command, desk, finished, verb, words, parts):
    before = tree(finished)
    assert_refused(command(verb, finished, *words.split()), *parts)
    assert tree(finished) == before


def test_a_word_that_the_vocabulary_lacks(command, finished_words):
    refused = command("generate", finished_words, "--prompt", "a zebra")
    assert_refused(refused, "every word must be in the vocabulary, which has no <unk>, got 'zebra' in line 1")


@pytest.mark.parametrize("verb", ["evaluate", "generate"])
@pytest.mark.parametrize("run", ["nowhere", "text", "file"])
def test_a_folder_that_is_no_run(command, desk, verb, run):
    rule = "a run must be an existing folder" if run == "nowhere" else "a run folder holds config.json"
    assert_refused(command(verb, run), rule, run)


@pytest.mark.parametrize("verb", ["evaluate", "generate"])
def test_a_run_must_be_named(command, desk, verb):
    assert_refused(command(verb), "RUN")


def test_a_run_of_another_text(command, desk, finished):
    shutil.copytree(finished, desk / "run")
    (desk / "run" / "states").rename(desk / "gone")
    assert_refused(command("generate", "run"), "a checkpoint must be whole to be read", "its folder is missing")
    assert_refused(command("train", "--resume", "run", "--data", "half"), "half")
    assert_refused(command("train", "--resume", "run", "--lr", "0.5"), "got --learning-rate = 0.5 (it has 0.01)")
    assert_refused(command("train", "--resume", "run", "--run", "text"), "--run must be a new or an empty folder")
    assert_refused(command("train", "--resume", "run", "--mirror", "no/where"), "is the drive mounted?", "got no/where")
    (desk / "text" / "train.txt").write_text("a bad cab\n" * 60)
    assert_refused(command("train", "--resume", "run", "--data", "text"), "the text it began with")


def test_the_first_word(command):
    assert_refused(command("trian"), "must be one of train, ", "got 'trian'; did you mean train?")
    assert_refused(command("--version-of-it"), "must be one of train, ")
