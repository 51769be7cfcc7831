"""Imports and includes point downward only, and importing hashnet stays cheap."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A layer may use the layers to its right and its own members, as long as no cycle arises among these.
PYTHON_LAYERS = [
    {"cli", "__main__"},
    {"distributed"},
    {"comparison"},
    {"training"},
    {"evaluation", "encoding"},
    {"hashnet"},  # what `import hashnet` itself offers
    {"index", "models", "losses", "baselines", "datasets"},
    {"results"},
    {"codes"},
    {"_core", "allocator", "errors", "files", "progress"},
]
STRANGERS = {("evaluation", "encoding"), ("encoding", "evaluation")}
CPP_LAYERS = [{"bindings"}, {"search"}, {"storage", "kernels"}, {"base"}]


def python_files():
    for folder, package in ((ROOT / "hashnet", "hashnet"), (ROOT / "distributed", "hashnet.distributed")):
        for path in sorted(folder.rglob("*.py")):
            inside = path.relative_to(folder).with_suffix("").parts
            yield path, [*package.split("."), *(part for part in inside if part != "__init__")]


def imported_modules(path, module):
    """Dotted names under hashnet that the file imports, anywhere in it."""
    package = module if path.name == "__init__.py" else module[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, *(node.module.split(".") if node.module else [])]
            yield from ([*base, alias.name] for alias in node.names)


def layer_of(dotted):
    """The member of PYTHON_LAYERS that a dotted name belongs to, None outside hashnet."""
    if dotted[0] != "hashnet":
        return None
    known = set().union(*PYTHON_LAYERS)
    return dotted[1] if len(dotted) > 1 and dotted[1] in known else "hashnet"


def python_edges():
    edges = set()
    for path, module in python_files():
        user = layer_of(module)
        if user == "hashnet":
            continue  # hashnet/__init__.py gathers the public names of every layer
        for dotted in imported_modules(path, module):
            used = layer_of(dotted)
            if used and used != user:
                edges.add((user, used, str(path.relative_to(ROOT))))
    return edges


def cpp_member(path):
    parts = path.relative_to(ROOT / "csrc").parts
    if len(parts) > 1:
        return parts[0]
    return "bindings" if parts[0].startswith("bindings") else "base"


def cpp_includes():
    for path in sorted((ROOT / "csrc").rglob("*.[ch]pp")):
        for line in re.findall(r'^\s*#\s*include\s+["<]([^">]+)[">]', path.read_text(), re.MULTILINE):
            yield path, line


def cpp_edges():
    edges = set()
    for path, line in cpp_includes():
        for base in (path.parent, ROOT / "csrc"):
            used = (base / line).resolve()
            if used.is_file() and cpp_member(used) != cpp_member(path):
                edges.add((cpp_member(path), cpp_member(used), str(path.relative_to(ROOT))))
                break
    return edges


def upward(edges, layers):
    rank = {member: number for number, layer in enumerate(layers) for member in layer}
    return sorted(edge for edge in edges if rank[edge[1]] < rank[edge[0]])


def cycle(edges):
    graph = {}
    for user, used, _ in edges:
        graph.setdefault(user, set()).add(used)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def test_python_imports_point_downward():
    assert upward(python_edges(), PYTHON_LAYERS) == []


def test_python_layers_have_no_cycle():
    assert cycle(python_edges()) is None


def test_evaluation_and_encoding_do_not_know_each_other():
    assert [edge for edge in python_edges() if edge[:2] in STRANGERS] == []


def test_distributed_imports_itself_relatively():
    absolute = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "distributed").rglob("*.py"))
        if re.search(r"^\s*(from|import) hashnet\.distributed", path.read_text(), re.MULTILINE)
    ]
    assert absolute == []


def test_cpp_includes_point_downward():
    assert upward(cpp_edges(), CPP_LAYERS) == []


def test_cpp_layers_have_no_cycle():
    assert cycle(cpp_edges()) is None


def test_python_appears_in_the_bindings_only():
    users = {cpp_member(path) for path, line in cpp_includes() if line.startswith(("pybind11/", "Python.h"))}
    assert users <= {"bindings"}


def test_ray_is_imported_in_distributed_only():
    users = {
        str(path.relative_to(ROOT))
        for path, module in python_files()
        for dotted in imported_modules(path, module)
        if dotted[0] == "ray"
    }
    assert {user for user in users if not user.startswith("distributed/")} == set()


def test_nothing_is_pickled_or_unpickled():
    forbidden = re.compile(
        r"pickle\.(load|dump|Pickler|Unpickler)|allow_pickle=True|weights_only=False|joblib|marshal|shelve|dill"
    )
    users = {
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path, _ in python_files()
        if (found := forbidden.search(path.read_text()))
    }
    assert users == set()


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import hashnet", "torch ray faiss sklearn matplotlib rich typer pyarrow PIL"),
        ("import hashnet.distributed", "torch ray"),
        ("import hashnet.distributed.serving.app", "torch ray faiss sklearn matplotlib"),
        ("import hashnet.datasets", "torch ray sklearn matplotlib"),
        ("import hashnet.evaluation", "torch ray faiss sklearn matplotlib"),
        ("import hashnet.index", "torch ray"),
        ("import hashnet.cli.compare", "torch ray faiss sklearn matplotlib pyarrow PIL"),
        ("import hashnet.cli", "torch ray faiss sklearn matplotlib pyarrow PIL"),
    ],
)
def test_a_fresh_import_loads_nothing_heavy(statement, unwanted):
    script = f"{statement}; import sys; print(*sorted(set({unwanted.split()!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_stranger_named_distributed_is_not_shadowed():
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nimport distributed"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT.parent
    )
    assert "ModuleNotFoundError: No module named 'distributed' here" in done.stderr
