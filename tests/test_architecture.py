"""The layers: imports point down only, siblings do not meet, and heavy libraries have one home."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "xentjax"

# From the top of the house to the ground; rooms on one line do not see each other.
LAYERS = [
    ["cli"],
    ["audit"],
    ["jobs"],
    ["search"],
    ["train"],
    ["models", "optim", "metrics", "data", "fused"],
    ["losses"],
]
# These stand apart: they may import losses, and only the command line imports them.
APART = ["testing", "timing"]
# Pictures of plain records, for the rooms whose results draw themselves.
PLOTS, DRAWING = "plots", ["audit", "cli"]
# Where each library may be imported at all, and where only inside a function (an extra).
HOMES = {
    "optax": ["optim", "train", "search", "jobs", "audit"],
    "flax": ["models", "train", "search", "jobs", "audit"],
    "orbax": ["train"],
    "grain": ["data"],
    "matplotlib": ["plots"],
    "chex": ["testing"],
    "sklearn": ["data"],
    "tokenizers": ["data"],
    "tensorboardX": ["train"],
    "optuna": ["search"],
    "jax_privacy": ["audit"],
    "tyro": ["cli"],
    "rich": ["cli", "jobs", "search", "train", "audit", "timing", "testing"],
    "torch": [],
}
LAZY = ["matplotlib", "sklearn", "tokenizers", "tensorboardX", "optuna", "jax_privacy"]


def room(path):
    """The room a file of the package belongs to, or None for the package's own __init__."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return None if first == "__init__" else first


def imports(path):
    """(module, is_at_top_level) of every import that runs; those for type checkers do not."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    inside = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in inside
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer they cross"
            yield node.module, id(node) not in inside
            if node.module == "xentjax":
                for alias in node.names:
                    yield f"xentjax.{alias.name}", id(node) not in inside


def allowed_rooms(own):
    """The rooms a room may import."""
    if own is None:
        return []
    if own in [*APART, PLOTS]:
        return [own, "losses"]
    level = next(i for i, rooms in enumerate(LAYERS) if own in rooms)
    below = [r for rooms in LAYERS[level + 1 :] for r in rooms]
    plots = [PLOTS] if own in DRAWING else []
    return [own, *below, *plots, *(APART if own == "cli" else [])]


def violations(path):
    own = room(path)
    for module, at_top in imports(path):
        library, *rest = module.split(".")
        if library == "xentjax" and rest:
            target = rest[0]
            known = {r for rooms in LAYERS for r in rooms} | {*APART, PLOTS}
            if target in known and target not in allowed_rooms(own):
                yield f"{own} imports {target}"
        if library in HOMES and own not in HOMES[library]:
            yield f"{own} imports {library}, which lives in {HOMES[library]}"
        if library in LAZY and at_top:
            yield f"{library} is an extra: import it inside the function that needs it"


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down_and_libraries_stay_home(path):
    assert list(violations(path)) == []


def test_every_room_has_its_place_in_the_drawing():
    known = {r for rooms in LAYERS for r in rooms} | {*APART, PLOTS, None}
    assert {room(path) for path in FILES} <= known


def test_only_checkpointing_imports_orbax():
    users = {p.name for p in FILES for module, _ in imports(p) if module.startswith("orbax")}
    assert users <= {"checkpoint.py"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_are_named_after_an_idea(path):
    assert path.stem.strip("_") not in {"util", "utils", "common", "helper", "helpers", "misc"}


@pytest.mark.parametrize(
    ("place", "code", "wanted"),
    [
        ("losses/x.py", "import xentjax.train.loop", "losses imports train"),
        ("losses/x.py", "from xentjax import models", "losses imports models"),
        ("models/x.py", "from xentjax.optim import recipes", "models imports optim"),
        ("train/x.py", "import xentjax.timing", "train imports timing"),
        ("models/x.py", "import xentjax.plots", "models imports plots"),
        ("plots/x.py", "import xentjax.train", "plots imports train"),
        ("losses/x.py", "import optax", "losses imports optax"),
        ("data/x.py", "import sklearn.datasets", "sklearn is an extra"),
    ],
)
def test_a_crossing_is_caught(place, code, wanted, tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    path = tmp_path / place
    path.parent.mkdir()
    path.write_text(code)
    assert any(text.startswith(wanted) for text in violations(path))
