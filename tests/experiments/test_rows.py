"""Records: some of them, some of their fields, and rows out of richer ones."""

from experiments.harness.rows import filled, groups, only, where, with_ends, without


RECORDS = [{"a": 2, "b": "x"}, {"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_records_are_chosen_by_the_values_of_their_fields():
    assert where(RECORDS, a=2) == [RECORDS[0], RECORDS[2]] and where(RECORDS, a=2, b="y") == [RECORDS[2]]
    assert where(RECORDS, a=3) == [] and where(RECORDS) == RECORDS


def test_groups_are_in_the_order_of_their_first_record():
    assert list(groups(RECORDS, "a").items()) == [(2, [RECORDS[0], RECORDS[2]]), (1, [RECORDS[1]])]


def test_fields_are_chosen_and_left_out():
    assert list(only({"a": 1, "b": 2, "c": 3}, ("c", "a")).items()) == [("c", 3), ("a", 1)]
    assert without({"a": 1, "b": 2, "c": 3}, "b", "d") == {"a": 1, "c": 3}


def test_ends_of_an_interval_are_columns():
    assert with_ends([{"a": 1, "interval": [0.2, 0.4], "table": []}], "table") == [{"a": 1, "low": 0.2, "high": 0.4}]


def test_rows_are_filled_to_the_same_fields():
    assert (
        list(map(list, filled([{"a": 1}, {"b": 2}]))) == [["a", "b"]] * 2
        and filled([{"a": 1}, {"b": 2}])[1]["a"] is None
    )
