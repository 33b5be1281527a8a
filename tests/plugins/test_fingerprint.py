"""The fingerprint changes with whatever can change what plugins say, and with nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata

import pytest

from relaxit.plugins import plugins_fingerprint


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a module as a distribution; ``editable`` says how its metadata look."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(version="1.0", editable=True, source="x = 1\n"):
        package = tmp_path / "fingerprinted"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").write_text(source)
        for old in tmp_path.glob("*.dist-info"):
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
        info = tmp_path / f"fingerprinted-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: fingerprinted\nVersion: {version}\n")
        (info / "RECORD").write_text(f"{info.name}/RECORD,,\nfingerprinted/__init__.py,,\n")
        (info / "entry_points.txt").write_text("[relaxit.plugins]\none = fingerprinted.hooks\n")
        if editable:
            (info / "direct_url.json").write_text(
                '{"url": "file:x", "dir_info": {"editable": true}}'
            )
        return package

    return make


def ours():
    return plugins_fingerprint(metadata.entry_points(group="relaxit.plugins", name="one"), {})


@pytest.mark.parametrize("editable", [True, False])
def test_the_same_installation_has_the_same_fingerprint(install, editable):
    install(editable=editable)
    assert ours() == ours()


@pytest.mark.parametrize("editable", [True, False])
def test_another_version_has_another(install, editable):
    install("1.0", editable)
    before = ours()
    install("1.1", editable)
    assert ours() != before


def test_an_edited_file_changes_that_of_an_editable_package(install):
    package = install()
    before = ours()
    (package / "more.py").write_text("y = 2\n")
    after = ours()
    assert after != before
    stat = (package / "more.py").stat()
    os.utime(package / "more.py", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert ours() != after


def test_a_new_installation_changes_that_of_a_wheel(install):
    package = install(editable=False)
    before = ours()
    (package / "__pycache__").mkdir()
    assert ours() == before
    record = next(package.parent.glob("*.dist-info")) / "RECORD"
    record.write_text(record.read_text() + "fingerprinted/more.py,,\n")
    assert ours() != before


def test_an_edited_file_of_a_namespace_package_changes_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    for part in ("mine", "others"):
        (tmp_path / "shared_namespace" / part).mkdir(parents=True)
        (tmp_path / "shared_namespace" / part / "hooks.py").write_text("x = 1\n")
    point = metadata.EntryPoint("one", "shared_namespace.mine.hooks", "relaxit.plugins")
    before = plugins_fingerprint([point], {})
    (tmp_path / "shared_namespace" / "others" / "more.py").write_text("y = 2\n")
    assert plugins_fingerprint([point], {}) == before
    (tmp_path / "shared_namespace" / "mine" / "more.py").write_text("y = 2\n")
    assert plugins_fingerprint([point], {}) != before


def test_settings_that_turn_plugins_off_change_it():
    assert plugins_fingerprint([], {"RELAXIT_PLUGINS": "none"}) != plugins_fingerprint([], {})
    assert plugins_fingerprint([], {"RELAXIT_DISABLE_PLUGINS": "a"}) != plugins_fingerprint([], {})
    assert plugins_fingerprint([], {"RELAXIT_EPOCHS": "3"}) == plugins_fingerprint([], {})


def test_a_module_that_is_not_there_is_no_error():
    point = metadata.EntryPoint("gone", "no_such_module_of_mine.hooks", "relaxit.plugins")
    assert plugins_fingerprint([point], {}) == plugins_fingerprint([point], {})


def test_nothing_is_imported():
    code = (
        "import sys; from relaxit.plugins import plugins_fingerprint; plugins_fingerprint(); "
        "sys.exit('torch' in sys.modules or 'relaxit.categorical.hooks' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
