"""What list and show print may come from the cache, and is then the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from relaxit.cli import document_cache
from relaxit.cli.app import run
from relaxit.cli.document_cache import cache_directory, cached_document


@pytest.fixture(autouse=True)
def cache_dir(tmp_path, monkeypatch):
    """An empty cache, in a process that seems not to have imported PyTorch."""
    monkeypatch.setenv("RELAXIT_CACHE_DIR", str(tmp_path / "cache"))
    seem_to_have_imported(monkeypatch)
    return tmp_path / "cache"


def seem_to_have_imported(monkeypatch, *modules):
    seen = SimpleNamespace(modules=dict.fromkeys(modules), platform="linux")
    monkeypatch.setattr(document_cache, "sys", seen)


def counted():
    calls = []
    return calls, lambda: calls.append(1) or {"n": len(calls)}


def test_is_computed_once():
    calls, compute = counted()
    assert cached_document("a", compute) == cached_document("a", compute) == {"n": 1}
    assert cached_document("b", compute) == {"n": 2}
    assert len(calls) == 2


def test_is_computed_again_when_the_plugins_change(monkeypatch):
    _, compute = counted()
    cached_document("a", compute)
    monkeypatch.setenv("RELAXIT_DISABLE_PLUGINS", "something")
    assert cached_document("a", compute) == {"n": 2}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"fingerprint": 1}', "\xff"])
def test_a_damaged_file_is_replaced(cache_dir, content):
    cache_dir.mkdir()
    (cache_dir / "a.json").write_bytes(content.encode("latin-1"))
    _, compute = counted()
    assert cached_document("a", compute) == {"n": 1}
    assert cached_document("a", compute) == {"n": 1}


def test_a_directory_that_cannot_be_made_is_no_error(cache_dir):
    cache_dir.write_text("a file")
    _, compute = counted()
    assert cached_document("a", compute) == {"n": 1}
    assert cached_document("a", compute) == {"n": 2}


def test_an_error_is_not_kept(cache_dir):
    with pytest.raises(ZeroDivisionError):
        cached_document("a", lambda: 1 / 0)
    assert not list(cache_dir.glob("*"))


@pytest.mark.parametrize("name", ["../a", "a/b", "", "a b"])
def test_names_that_are_not_file_names_are_not_kept(cache_dir, name):
    _, compute = counted()
    cached_document(name, compute)
    assert not cache_dir.exists()


def test_where_it_is(monkeypatch):
    monkeypatch.delenv("RELAXIT_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert str(cache_directory()) == "/somewhere/relaxit"


def test_with_torch_at_hand_nothing_is_kept(cache_dir, monkeypatch):
    seem_to_have_imported(monkeypatch, "torch")
    _, compute = counted()
    assert cached_document("a", compute) == {"n": 1}
    assert cached_document("a", compute) == {"n": 2}
    assert not cache_dir.exists()


def process(*words):
    """What a command prints in a process of its own, and whether it imported PyTorch."""
    code = (
        "import sys; from relaxit.cli.app import run; code = run(sys.argv[1:]); "
        "print('torch' in sys.modules, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr.split()[-1] == "True"


@pytest.mark.parametrize(
    "words", [["list"], ["show", "categorical", "--json"], ["zoo", "list"]], ids=" ".join
)
def test_the_second_answer_is_the_first_without_torch(words):
    first, _ = process(*words)
    second, imported = process(*words)
    assert second == first
    assert not imported


def test_nothing_is_kept_while_a_plugin_is_broken(cache_dir, tmp_path, monkeypatch):
    # What it lacks may be installed later, and the plugin itself is the same then.
    info = tmp_path / "site" / "lacking-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lacking\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[relaxit.plugins]\nlacking = lacking.hooks\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    process("list")
    _, imported = process("list")
    assert imported
    assert not cache_dir.exists()


def test_no_load_and_a_file_contradict_each_other(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    assert run(["plugins", "--no-load", "--plugin", str(file)]) == 2
    assert "omit --no-load" in capsys.readouterr().err


def test_names_of_plugins_are_listed_without_torch():
    said, imported = process("plugins", "--no-load", "--json")
    assert not imported
    assert {"categorical", "estimators"} <= {plugin["name"] for plugin in json.loads(said)}
    assert {plugin["state"] for plugin in json.loads(said)} == {"not loaded"}


MINE = """
from relaxit import Capabilities, PerturbAndRelax, constraints, register
import torch

@register
class Mine(PerturbAndRelax):
    api, name, summary = 1, "mine", "one of three"
    capabilities = Capabilities(density=False, discrete_distribution=False, exact_rounding=False)
    event_shape = param_shape = torch.Size((3,))
    support, vertices = constraints.simplex, constraints.one_hot

    def relax(self, scores, temperature):
        return (scores / temperature).softmax(-1)

    def argmax(self, scores):
        return (scores == scores.amax(-1, keepdim=True)).to(scores.dtype)
"""


def test_a_plugin_file_or_an_option_is_never_cached(cache_dir, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    process("list", "--plugin", str(file))
    process("show", "categorical", "-o", "categories=3")
    assert not cache_dir.exists()
