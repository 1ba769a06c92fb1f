"""Sources: files, folders, tables with a text column, and data sets by name; and what is refused."""

import csv
import json
import os
import subprocess
import sys
from unittest.mock import Mock, call

import datasets
import pandas
import pyarrow
import pyarrow.parquet
import pytest

from lm_jax import UserError
from lm_jax.data import load_corpus, sources
from lm_jax.data.sources import HUB, read_source


ROWS = ["first line", "", 'naïve “line”, "with" a comma 🙂', None, "  inner  spaces ", "newline at the end\n"]
ROWS += ["NA", "None", "007", "1e5", "nan", "null"]
TEXT = 'first line\n\nnaïve “line”, "with" a comma 🙂\n\n  inner  spaces \nnewline at the end\n'
TEXT += "NA\nNone\n007\n1e5\nnan\nnull\n"


def write(path, rows, column="text"):
    """A table with a text column between two others, in the format of the path's ending."""
    records = [{"id": i, column: row, "label": "x"} for i, row in enumerate(rows)]
    if path.suffix == ".csv":
        pandas.DataFrame(records).to_csv(path, index=False)
    elif path.suffix == ".json":
        path.write_text(json.dumps(records))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), path)
    return str(path)


@pytest.fixture(autouse=True)
def library(monkeypatch, tmp_path):
    """The library's cache in this test's folder; its switches back in place afterwards."""
    datasets.logging.set_verbosity_warning()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache of datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(sources, "_reaches_hub", lambda: pytest.fail("asked for the network"))


formats = pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl", ".parquet"])


@formats
def test_a_table_is_a_text_of_its_rows(ending, tmp_path):
    """A missing cell is an empty line, a row that ends with a newline is one line, and words stay as they are."""
    data = write(tmp_path / f"table{ending}", ROWS)
    assert read_source(data, "word", "text") == {"all": TEXT}
    assert read_source(data, "byte", "text") == {"all": TEXT.encode()}


@formats
def test_the_column_can_have_another_name(ending, tmp_path):
    data = write(tmp_path / f"table{ending}", ["12", "7"], "sentence")  # and a column of digits is a text
    assert read_source(data, "char", "sentence") == {"all": "12\n7\n"}
    with pytest.raises(UserError, match=r"a text column named text \(text_column\), got id, sentence, label in") as e:
        read_source(data, "char", "text")
    assert data in str(e.value) and "\n" not in str(e.value)


@formats
def test_a_column_without_text_is_refused(ending, tmp_path):
    with pytest.raises(UserError, match="must hold some text, got an empty one: text in"):
        read_source(write(tmp_path / f"table{ending}", ["", " ", "\n"]), "char", "text")


UNREADABLE = {
    "garbage.parquet": b"PAR1 no more of it",
    "half.jsonl": b'{"text": "a"}\n{"text: 3\n',
    "latin.jsonl": '{"text": "café"}\n'.encode("latin-1"),
    "latin.csv": "text\ncafé\n".encode("latin-1"),
    "header.csv": b"text,id\n",
}


@pytest.mark.parametrize(("name", "raw"), UNREADABLE.items(), ids=UNREADABLE)
def test_an_unreadable_table_is_refused_in_one_line(name, raw, tmp_path, caplog):
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(UserError) as caught:
        read_source(str(tmp_path / name), "char", "text")
    assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)
    assert not caplog.records  # what the library has to say is in that line


REFUSED = {
    "comma.csv": ("text\nHello, world\nx, y\n", "as many fields as the header, 1 .* got 2 in line 2 of"),
    "short.csv": ('id,text\n1,"a\nb"\n2\n', "as many fields as the header, 2 .* got 1 in line 4 of"),
    "quote.csv": ('text\n"a" b\n', "a .csv file must be readable as a table, .* in line 2"),
    "twice.csv": ("text,text\na,b\n", "got text, text in"),
    "half.jsonl": ('{"text": "a"}\n{"text: 3\n', "a .jsonl file must be readable as a table, .* line 2"),
    "lacks.jsonl": ('{"text": "a"}\n\n{"id": 1}\n', r"a text column named text \(text_column\), got id in line 3 of"),
    "number.jsonl": ('{"text": "a"}\n{"text": 3}\n', "a text column must hold text, got int: text in line 2 of"),
    "lacks.json": ('[{"text": "a"}, {"id": 1}]', r"a text column named text \(text_column\), got id in row 2 of"),
    "list.json": ('[{"text": "a"}, {"text": ["b"]}]', "a text column must hold text, got list: text in row 2 of"),
    "surrogate.json": (r'[{"text": "a"}, {"text": "b\ud800"}]', r"got the lone surrogate '.ud800' in its line 2"),
    "header.csv": ("text,id\n", "got an empty table"),
    "empty.csv": ("", "got an empty table"),
    "empty.jsonl": ("\n", "got an empty table"),
    "empty.json": ("[]", "got an empty table"),
    "columns.json": ('{"text": []}', "got an empty table"),
    "nul.csv": ("text\na\0b\n", "must not hold NUL characters"),
    "nul.json": (r'[{"text": "a\u0000b"}]', "must not hold NUL characters"),
}


@pytest.mark.parametrize(("name", "content", "message"), [(n, *both) for n, both in REFUSED.items()], ids=REFUSED)
def test_a_bad_table_is_refused_where_it_is_bad(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        read_source(str(tmp_path / name), "char", "text")
    assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


CELLS = {
    "list": ([["a"], ["b"]], r"got list \(list<.*\): text in"),
    "dict": ([None, {"a": "b"}], r"got dict \(struct<.*\): text in"),
    "number": ([None, 1.5], "got float: text in row 2 of"),
    "bool": ([True], "got bool: text in row 1 of"),
    "latin-1": (["é".encode(), "é".encode("latin-1")], "must be UTF-8, got byte 0xe9 at 0: row 2 of"),
    "nul": (["a\0b"], "must not hold NUL characters"),
    "no rows": (pyarrow.array([], pyarrow.string()), "got an empty table"),
    "no strings": (pyarrow.array([b"a", b"\xe9"]).view(pyarrow.string()), "must be readable as a table"),
}


@pytest.mark.parametrize(("cells", "message"), CELLS.values(), ids=CELLS)
def test_a_cell_of_parquet_that_is_no_text_is_refused(cells, message, tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"text": cells}), tmp_path / "table.parquet")
    with pytest.raises(UserError, match=message) as caught:
        read_source(str(tmp_path / "table.parquet"), "char", "text")
    assert str(tmp_path / "table.parquet") in str(caught.value) and "\n" not in str(caught.value)


def test_bytes_and_categories_of_parquet_are_text(tmp_path):
    for cells in (["é".encode(), None, b"a"], pyarrow.array(["é", None, "a"]).dictionary_encode()):
        pyarrow.parquet.write_table(pyarrow.table({"text": cells}), tmp_path / "table.parquet")
        assert read_source(str(tmp_path / "table.parquet"), "char", "text") == {"all": "é\n\na\n"}


READ = {
    "dates.jsonl": ('{"text": "2020-01-01"}\n{"text": "2020-01-01 00:00:00"}\n', "2020-01-01\n2020-01-01 00:00:00\n"),
    "separators.jsonl": ('{"text": "a\u2028b"}\r\n\r\n{"text": null}\r\n', "a\u2028b\n\n"),
    "lines.json": ('{"text": "a"}\n{"text": "b"}\n', "a\nb\n"),
    "one.json": ('{\n "text": "a"\n}\n', "a\n"),
    "columns.json": ('{"id": [1, 2], "text": ["a", null]}', "a\n\n"),
    "strings.json": ('["a", "b"]', "a\nb\n"),
    "UPPER.CSV": ("text\na\n", "a\n"),
    "UPPER.JSONL": ('{"text": "a"}\n', "a\n"),
    "mark.csv": ("\ufefftext\na\n", "a\n"),
    "windows.csv": ('text\r\n"a\r\nb\r\n"\r\n\r\nc\r\n', "a\nb\nc\n"),
    "windows.jsonl": (r'{"text": "a\r\nb\r\n"}', "a\nb\n"),
    "quotes.csv": ('id,text\n1,"Hello, ""you"""\n', 'Hello, "you"\n'),
    "long.csv": (f"text\n{'a' * 200_000}\n", f"{'a' * 200_000}\n"),
}


@pytest.mark.parametrize(("name", "content", "text"), [(n, *both) for n, both in READ.items()], ids=READ)
def test_the_text_of_a_table(name, content, text, tmp_path):
    limit = csv.field_size_limit()
    (tmp_path / name).write_bytes(content.encode())
    assert read_source(str(tmp_path / name), "char", "text") == {"all": text}
    assert csv.field_size_limit() == limit


@formats
def test_a_file_is_read_by_its_exact_name_anew_and_without_the_library(ending, tmp_path, monkeypatch):
    """Not what a pattern finds, nor what a cache holds of a file of that name, size and time."""
    monkeypatch.setitem(sys.modules, "datasets", None)
    (tmp_path / "g[1]").mkdir()
    write(tmp_path / f"gx{ending}", ["wrong"])
    for path in (tmp_path / f"g*{ending}", tmp_path / "g[1]" / f"a{ending}"):
        for word in ("first", "later"):
            write(path, [word])
            os.utime(path, (0, 0))
            assert read_source(str(path), "char", "text") == {"all": f"{word}\n"}


def test_a_folder_of_files_with_capital_endings(tmp_path):
    (tmp_path / "train.TXT").write_text("a\n")
    (tmp_path / "valid.CSV").write_text("text\nb\n")
    (tmp_path / "test.JSONL").write_text('{"text": "c"}\n')
    assert read_source(str(tmp_path), "char", "text") == {"train": "a\n", "valid": "b\n", "test": "c\n"}


@pytest.mark.parametrize(
    ("train", "valid", "test"),
    [
        ("train.csv", "validation.jsonl", "test.parquet"),
        ("train.json", "dev.csv", "test.txt"),
        ("train.txt", "val.parquet", "test.json"),
        ("train.parquet", "valid.txt", "test.jsonl"),
    ],
)
def test_a_folder_holds_a_file_for_each_split(train, valid, test, tmp_path):
    for name, rows in ((train, ["a b"]), (valid, ["b", ""]), (test, ["a"])):
        if name.endswith(".txt"):
            (tmp_path / name).write_text("".join(f"{row}\n" for row in rows))
        else:
            write(tmp_path / name, rows)
    expected = {"train": "a b\n", "valid": "b\n\n", "test": "a\n"}
    assert read_source(str(tmp_path), "word", "text") == expected
    corpus = load_corpus(str(tmp_path), "word")
    assert {split: corpus.vocabulary.decode(getattr(corpus, split)) for split in expected} == expected


@pytest.mark.parametrize("second", ["train.csv", "valid.jsonl", "dev.txt", "validation.parquet", "test.json"])
def test_two_files_for_one_split_are_refused(second, tmp_path):
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.txt").write_text("a b\n")
    (tmp_path / second).write_text("a b\n")
    with pytest.raises(UserError, match="each one file") as caught:
        read_source(str(tmp_path), "char", "text")
    assert second in str(caught.value).split("got ")[1]
    (tmp_path / second).rename(tmp_path / "training.csv")  # other files of a folder do not matter
    assert read_source(str(tmp_path), "char", "text")["train"] == "a b\n"


@pytest.fixture
def hub(monkeypatch):
    """`hub(answer, online)` puts a function in the library's place that raises or returns the answer."""

    def put(answer, online=True):
        load = Mock(side_effect=answer)
        if isinstance(answer, dict):
            tables = {split: datasets.Dataset.from_dict(columns) for split, columns in answer.items()}
            load = Mock(return_value=datasets.DatasetDict(tables))
        monkeypatch.setattr(datasets, "load_dataset", load)
        monkeypatch.setattr(sources, "_reaches_hub", lambda: online)
        return load

    return put


SHAKESPEARE = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
CALLS = {
    "wikitext-2": ("Salesforce/wikitext", {"name": "wikitext-2-v1"}, "text"),
    "wikitext-2-raw": ("Salesforce/wikitext", {"name": "wikitext-2-raw-v1"}, "text"),
    "wikitext-103": ("Salesforce/wikitext", {"name": "wikitext-103-v1"}, "text"),
    "wikitext-103-raw": ("Salesforce/wikitext", {"name": "wikitext-103-raw-v1"}, "text"),
    "ptb": ("ptb-text-only/ptb_text_only", {"revision": "refs/convert/parquet"}, "sentence"),
    "tiny-shakespeare": ("text", {"data_files": SHAKESPEARE}, "text"),
}


@pytest.mark.parametrize("name", HUB)
@pytest.mark.parametrize("online", [True, False])
def test_a_data_set_by_name(name, online, hub):
    """Also without network: it may be in the library's cache."""
    path, options, column = CALLS[name]
    tables = {
        "test": {column: ["", " x y \n"]},
        "train": {column: [" a b \n", "\n", "", " b"], "other": [1, 2, 3, 4]},
        "validation": {column: [" é"]},
    }
    load = hub(tables, online)
    expected = {"train": " a b \n\n\n b\n", "valid": " é\n", "test": "\n x y \n"}
    assert read_source(name, "word", "ignored") == expected
    assert read_source(name, "byte", "ignored") == {split: text.encode() for split, text in expected.items()}
    assert load.call_args_list == [call(path, **options)] * 2


def test_a_corpus_by_name(hub):
    hub({"train": {"text": ["First Citizen:", "", "Speak."]}})
    assert read_source("tiny-shakespeare", "char", "text") == {"all": "First Citizen:\n\nSpeak.\n"}
    hub({split: {"text": [" a <unk> \n", " = b = \n"]} for split in ("train", "validation", "test")})
    corpus = load_corpus("wikitext-2", "word")
    assert corpus.source == "wikitext-2" and corpus.vocabulary.decode(corpus.valid) == "a <unk>\n= b =\n"


@pytest.mark.parametrize(
    ("error", "online", "reason"),
    [
        (ConnectionError("Couldn't reach it\non the Hub"), False, "no network, and it is not in the local cache"),
        (FileNotFoundError("no such"), False, "no network, and it is not in the local cache"),
        (OSError("disk full\nin detail"), True, "OSError: disk full"),
    ],
    ids=str,
)
def test_a_failure_is_one_clear_line(error, online, reason, hub):
    hub(error, online)
    with pytest.raises(UserError) as caught:
        read_source("wikitext-2", "word", "text")
    assert str(caught.value) == (
        f"the data set wikitext-2 (Salesforce/wikitext) cannot be had: {reason}; "
        "give a local file or a folder with train.txt, valid.txt and test.txt instead"
    )


OFFLINE = """
import os, socket, sys
os.environ.pop("HF_HUB_OFFLINE", None)
from lm_jax.data import sources
sources._reaches_hub = lambda: False
def tried(*arguments, **options): sys.exit("tried the network")
socket.getaddrinfo = socket.create_connection = socket.socket.connect = tried
try: sources.read_source("ptb", "word", "text")
except ValueError as error: print(error)
"""


@pytest.mark.parametrize("before", ["", "import datasets"], ids=["fresh", "library there"])
def test_the_library_itself_does_not_try_without_network(before, tmp_path):
    """In a process of its own, with an empty cache: trying would take it half a minute."""
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    words = [sys.executable, "-c", f"{before}\n{OFFLINE}"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ptb-text-only/ptb_text_only" in done.stdout and "no network" in done.stdout


@pytest.mark.parametrize("data", ["Salesforce/wikitext", "wikitext-3", "Wikitext-2", "./wikitext-2", "ag.csv"])
def test_a_path_that_does_not_exist_is_never_a_name(data, hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load = hub({"train": {"text": ["a"]}})
    with pytest.raises(UserError, match=rf"must be an existing file or folder, or one of wikitext-2, .*; got {data}"):
        read_source(data, "char", "text")
    assert not load.called


def test_a_local_folder_of_that_name_comes_first(hub, tmp_path, monkeypatch):
    load = hub({"train": {"text": ["from the hub"]}})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wikitext-2").mkdir()
    for split in ("train", "valid", "test"):
        (tmp_path / "wikitext-2" / f"{split}.txt").write_text("from the disk\n")
    assert read_source("wikitext-2", "char", "text")["train"] == "from the disk\n" and not load.called


@pytest.fixture
def direct(monkeypatch):
    """The real probe, and neither a proxy nor another address of the Hub."""
    monkeypatch.undo()
    for name in ("https_proxy", "HTTPS_PROXY", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("reached", [True, False])
def test_reaching_the_hub_is_one_short_connection(reached, direct, monkeypatch):
    connection = Mock()
    connect = Mock(return_value=connection) if reached else Mock(side_effect=OSError("unreachable"))
    monkeypatch.setattr("socket.create_connection", connect)
    assert sources._reaches_hub() is reached
    connect.assert_called_once_with(("huggingface.co", 443), timeout=3.0)
    assert connection.close.called == reached


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("https://mirror.example", ("mirror.example", 443)),
        ("http://mirror.example/hub", ("mirror.example", 80)),
        ("https://localhost:8443", ("localhost", 8443)),
    ],
)
def test_the_hub_may_be_at_another_address(endpoint, address, direct, monkeypatch):
    connect = Mock()
    monkeypatch.setattr("socket.create_connection", connect)
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert sources._reaches_hub() is True
    connect.assert_called_once_with(address, timeout=3.0)


@pytest.mark.parametrize("endpoint", ["mirror.example", "https://mirror.example:port", "https://"])
def test_an_address_that_is_none_is_refused(endpoint, direct, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setattr("socket.create_connection", lambda *_, **__: pytest.fail("connected"))
    with pytest.raises(UserError, match=f"HF_ENDPOINT must be an address such as .* got {endpoint}"):
        sources._reaches_hub()


def test_a_proxy_is_not_passed_by(direct, monkeypatch):
    monkeypatch.setattr("socket.create_connection", lambda *_, **__: pytest.fail("connected"))
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert sources._reaches_hub() is True
