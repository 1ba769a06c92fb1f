"""Names in Python sources by their role: as written out by hand, and as `symtable` has them."""

import heapq
import inspect
import queue
import symtable

import pytest

from lm_jax.data import python_names
from lm_jax.data.python_names import ROLES, standard_library, tagged_functions


SOURCE = '''
import os.path as paths
from sys import argv
LIMIT = 3
class Box: pass

def measure(box, *rest, size=LIMIT):
    """A docstring with words."""
    größe = box.size + len("ü" + box.name)
    try:
        total = [x.y for x in rest]
    except ValueError as error:
        print(error, file=argv)  # a comment
    return paths.join(größe, total, Box(size), key=lambda one: one)
'''
EXPECTED = """def/other measure/function (/other box/parameter ,/other */other rest/parameter ,/other size/parameter
=/other LIMIT/global )/other :/other größe/local =/other box/parameter ./other size/attribute +/other
len/function (/other "..."/other +/other box/parameter ./other name/attribute )/other try/other :/other
total/local =/other [/other x/local ./other y/attribute for/other x/local in/other rest/parameter ]/other
except/other ValueError/class as/other error/local :/other print/function (/other error/local ,/other
file/keyword =/other argv/global )/other return/other paths/module ./other join/attribute (/other
größe/local ,/other total/local ,/other Box/class (/other size/parameter )/other ,/other key/keyword
=/other lambda/other one/parameter :/other one/parameter )/other"""


def test_every_role_as_written_out_by_hand():
    (tagged,) = tagged_functions(SOURCE)
    assert [f"{word}/{tag}" for word, tag in zip(tagged.words, tagged.tags, strict=True)] == EXPECTED.split()
    assert tagged.line == 7 and {tag for tag in tagged.tags} == set(ROLES)


UNCERTAIN = {
    "a scope inside": "def f(a, b):\n    def g(c): return c\n    return g(a)\n",
    "an import": "def f(a, b):\n    import os\n    return os.path(a, b)\n",
    "global": "def f(a, b):\n    global c\n    c = a + b + c\n",
    "one name in two scopes": "def f(a, b):\n    a = [b for b in a if b]\n    return a + b\n",
    "a string with names": "def f(a, b):\n    c = a + b\n    return f'{a} {c}'\n",
}


@pytest.mark.parametrize("source", UNCERTAIN.values(), ids=UNCERTAIN)
def test_functions_with_uncertain_names_are_left_out(source):
    assert not tagged_functions(source)


@pytest.mark.parametrize("module", [heapq, queue])
def test_parameters_and_locals_are_those_of_symtable(module):
    """An independent reading of the same scopes, by the compiler."""
    source = inspect.getsource(module)
    tables = {}

    def collect(table):
        if table.get_type() == "function":
            tables[table.get_name(), table.get_lineno()] = table
        for child in table.get_children():
            collect(child)

    collect(symtable.symtable(source, "f", "exec"))
    compared = 0
    for tagged in tagged_functions(source):
        table = tables[tagged.words[1], tagged.line]
        if table.get_children():
            continue  # comprehensions have tables of their own
        for before, word, tag in zip(("", *tagged.words), tagged.words, tagged.tags, strict=False):
            if tag in ("attribute", "keyword", "other") or before == "def":
                continue
            symbol = table.lookup(word)
            assert (tag == "parameter") == symbol.is_parameter(), word
            assert (tag == "local") == (symbol.is_local() and not symbol.is_parameter()), word
            compared += 1
    assert compared > 50


def test_the_standard_library_has_these_modules(monkeypatch):
    monkeypatch.setattr(python_names, "MODULES", ["heapq", "no_such_module", "json/decoder", "logging"])
    assert [name for name, _ in standard_library()] == ["heapq", "json/decoder", "logging"]
    monkeypatch.setattr(python_names, "MODULES", ["no_such_module"])
    with pytest.raises(ValueError, match="the sources of the standard library, got none in"):
        list(standard_library())
