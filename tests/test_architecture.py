"""The shape of the code itself: who imports whom, how long a file may be, what is documented."""

import ast
import importlib
import re
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1] / "lm_jax"
# A module imports only from its own layer or from those before it.
LAYERS = [
    "errors",
    "cache_folder",
    "files",
    "mapped",
    "input_files",
    "strict_json",
    "sealed_json",
    "lazy",
    "short_repr",
    "types",
    "caching",
    "config",
    "initializers",
    "layers",
    "data",
    "cells",
    "encoders",
    "attention",
    "models",
]
LAYERS += [
    "inference",
    "training",
    "analysis",
    "report",
    "interop",
    "tasks",
    "runs",
    "queries",
    "machine",
    "serve",
    "cli",
    "interactive",
]
WITHOUT_JAX = (
    "errors",
    "cache_folder",
    "files",
    "mapped",
    "input_files",
    "strict_json",
    "sealed_json",
    "lazy",
    "short_repr",
    "config",
    "data",
)
LONGEST_FILE, LONGEST_FUNCTION = 300, 50
VAGUE = {"course", "drive", "Done", "mixed", "scored", "facts", "told", "kept", "together", "last_words"}
KNOW_KINDS = ("tasks", "cells", "models", "config")  # elsewhere nobody asks which kind of model or task it is


def module_name(path):
    """lm_jax/cells/base.py is lm_jax.cells.base, lm_jax/cells/__init__.py is lm_jax.cells."""
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


FILES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}


def executed(tree):
    """All nodes of a module but those that only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"):
            yield node
            yield from executed(node)


def imported(name):
    """Every module that a module imports, anywhere in it; `from package import module` means the module."""
    found = set()
    for node in executed(TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & FILES.keys() or {node.module}
    return found


def ours(name):
    """Those of them that are of this package."""
    return imported(name) & FILES.keys()


def layer(name):
    """The place of a module in LAYERS."""
    return LAYERS.index(name.split(".")[1])


INSIDE = [name for name in FILES if name not in ("lm_jax", "lm_jax.__main__")]  # the doors offer names from anywhere


def test_every_module_is_in_a_layer():
    assert INSIDE and {name.split(".")[1] for name in INSIDE} <= set(LAYERS)


def test_imports_go_up_the_layers_only():
    wrong = [f"{name} imports {other}" for name in INSIDE for other in ours(name) if layer(other) > layer(name)]
    assert not wrong


def test_the_page_asks_queries_alone():
    """The server is a face beside the command line: whatever it answers, Python answers too."""
    faces = {name: ours(name) for name in INSIDE if name.startswith("lm_jax.serve")}
    below = ("serve", "queries", "errors", "strict_json")
    assert len(faces) > 10
    assert not [
        f"{name} imports {one}" for name, found in faces.items() for one in found if one.split(".")[1] not in below
    ]


def test_nothing_inside_imports_the_front_door():
    """`import lm_jax` would pass by the layers."""
    assert not [name for name in INSIDE if "lm_jax" in imported(name)]


def packages_of(name):
    """A module and the packages around it, whose __init__ runs first."""
    parts = name.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts) + 1)} & FILES.keys()


def reaches(name):
    """Every module that is executed when one is imported first, itself apart: the __init__ of the packages around what
    it imports, too. Those around itself are being executed already."""
    return {package for other in ours(name) for package in packages_of(other)} - packages_of(name) - {"lm_jax"}


def test_no_import_cycles():
    done, path = set(), []

    def visit(name):
        assert name not in path, f"a cycle: {' -> '.join([*path[path.index(name) :], name])}"
        if name not in done:
            path.append(name)
            for other in sorted(reaches(name)):
                visit(other)
            done.add(path.pop())

    for name in FILES:
        visit(name)
    assert done == FILES.keys()


@pytest.mark.parametrize("name", [n for n in INSIDE if n.split(".")[1] in WITHOUT_JAX])
def test_data_and_settings_need_no_jax(name):
    """Nor does anything that they import, directly or not."""
    reached, front = set(), {name}
    while front:
        reached |= front
        front = {package for one in front for other in ours(one) for package in packages_of(other)} - reached
    libraries = {other.split(".")[0] for one in reached | packages_of(name) for other in imported(one)}
    assert not libraries & {"jax", "jaxlib", "flax", "optax", "orbax", "jaxtyping"}


@pytest.mark.parametrize("name", FILES)
def test_files_and_functions_are_short(name):
    assert len(FILES[name].read_text().splitlines()) <= LONGEST_FILE
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            assert node.end_lineno - first.lineno + 1 <= LONGEST_FUNCTION, f"{node.name} is too long"


def literals(name):
    """Every string of a module but for its docstrings."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    nodes = [node for node in ast.walk(TREES[name]) if isinstance(node, documented) and ast.get_docstring(node)]
    docstrings = {id(node.body[0].value) for node in nodes}
    found = (node for node in ast.walk(TREES[name]) if isinstance(node, ast.Constant) and id(node) not in docstrings)
    return [node.value for node in found if isinstance(node.value, str)]


# the command line, and the task that says what to type next
SPEAK_FLAGS = {name for name in FILES if name.startswith("lm_jax.cli")} | {"lm_jax.tasks.next_command"}


@pytest.mark.parametrize("name", sorted(FILES.keys() - SPEAK_FLAGS))
def test_the_library_names_settings_and_no_flags(name):
    """`batch_size`, not `--batch-size`: the command line writes it so, by `UserError.settings`."""
    assert not [text for text in literals(name) if re.search(r"(?<![\w-])--[a-z]", text)]


def undocumented(node, path):
    """Public classes, functions and methods without a docstring."""
    for child in getattr(node, "body", []):
        if isinstance(child, ast.ClassDef | ast.FunctionDef) and not child.name.startswith("_"):
            if any(getattr(decorator, "id", "") == "overload" for decorator in child.decorator_list):
                continue  # a signature for type checkers; the function below has the words
            if not ast.get_docstring(child):
                yield f"{path}.{child.name}"
            if isinstance(child, ast.ClassDef):
                yield from undocumented(child, f"{path}.{child.name}")


@pytest.mark.parametrize("name", FILES)
def test_public_names_have_docstrings(name):
    tree = TREES[name]
    assert ast.get_docstring(tree) or not tree.body
    assert not list(undocumented(tree, name))


def test_nothing_is_called_a_helper():
    stems = {part for path in FILES.values() for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not stems & {"utils", "util", "helpers", "common", "misc"}


def identifiers(tree):
    """Every name that a module defines, binds or uses, without underscores at its ends, and the line of it."""
    for node in ast.walk(tree):
        for field in ("id", "arg", "attr", "name", "asname"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                yield name.strip("_"), getattr(node, "lineno", 0)


def test_names_are_those_of_the_field():
    vague = {word for name in INSIDE for word in name.split(".")} & VAGUE
    found = [f"{name}:{line} {word}" for name in INSIDE for word, line in identifiers(TREES[name]) if word in VAGUE]
    assert not vague and not found


def test_a_vague_name_is_found():
    text = "def drive(told, *, kept=1): scored = a.mixed; f(facts=1)\nclass Done: pass\nimport x as together\n"
    assert {word for word, _ in identifiers(ast.parse(text))} & VAGUE == VAGUE - {"course", "last_words"}


def test_every_name_of_the_front_door_opens():
    import lm_jax

    assert lm_jax.__all__ and all(getattr(lm_jax, name) is not None for name in lm_jax.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lm_jax.nothing


def kind_names():
    """The names of all kinds, and the classes of their settings."""
    from lm_jax.config import AVERAGINGS, CELLS, ESTIMATORS, MODELS, SCHEDULES
    from lm_jax.tasks import TASKS

    tables = (AVERAGINGS, CELLS, ESTIMATORS, MODELS, SCHEDULES)
    classes = {kind.config.__name__ for table in tables for kind in table.values() if kind.config}
    classes |= {task.config.__name__ for task in TASKS.values()} | {"BackoffParams"}
    return {name for table in (*tables, TASKS) for name in table} - {"none"}, classes  # a word for no number, too


def questions_about_kinds(tree, names, classes):
    """The lines that compare with the name of a kind, or ask whether something is an instance of its class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            compared = [part for side in (node.left, *node.comparators) for part in ast.walk(side)]
            if any(isinstance(part, ast.Constant) and part.value in names for part in compared):
                yield node.lineno
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass"):
            asked = {getattr(part, "id", getattr(part, "attr", "")) for part in ast.walk(node.args[1])}
            if asked & classes:
                yield node.lineno


def test_nobody_asks_which_kind_it_is():
    names, classes = kind_names()
    outside = [name for name in INSIDE if name.split(".")[1] not in KNOW_KINDS]
    assert outside and {"recurrent", "ngram", "lstm", "katz"} <= names and "LSTMConfig" in classes
    found = [f"{name}:{line}" for name in outside for line in questions_about_kinds(TREES[name], names, classes)]
    assert not found


def test_a_question_about_a_kind_is_found():
    asked = 'if config.task == "ngram": pass\nif x in ("gru", y): pass\nisinstance(cell, LSTMConfig)\nif a == b: pass'
    assert list(questions_about_kinds(ast.parse(asked), *kind_names())) == [1, 2, 3]


def declared(tree):
    """The names that a package imports for type checkers, with the modules that they are from."""
    blocks = [
        node for node in tree.body if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
    ]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    imports = [node for node in imports if node.module != "typing"]
    return {alias.asname or alias.name: node.module for node in imports for alias in node.names}


LAZY = [name for name, tree in TREES.items() if FILES[name].name == "__init__.py" and declared(tree)]


@pytest.mark.parametrize("name", LAZY)
def test_type_checkers_see_what_a_lazy_package_loads(name):
    """Completion and signatures come from imports that never run; they must be those of the names that do."""
    package = importlib.import_module(name)
    seen = declared(TREES[name])
    bound = {a.asname or a.name for n in executed(TREES[name]) if isinstance(n, ast.ImportFrom) for a in n.names}
    assert set(package.__all__) - {"__version__"} - bound <= seen.keys()
    for public, module in seen.items():
        expected = getattr(importlib.import_module(module), public, None) or importlib.import_module(
            f"{module}.{public}"
        )
        assert getattr(package, public) is expected, public


def test_the_front_door_is_small():
    import lm_jax

    assert len(lm_jax.__all__) <= 32 and {"train", "load", "generate", "UserError", "__version__"} <= set(
        lm_jax.__all__
    )
