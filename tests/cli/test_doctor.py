"""The console script and ``relaxit doctor`` name a distribution that conflicts with ours."""

import sys

import pytest

from relaxit.cli.app import run


def test_launcher_names_the_other_distribution(tmp_path, monkeypatch, capsys):
    import _relaxit_cli

    info = tmp_path / "relaxit-1.2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: relaxit\nVersion: 1.2.1\n")
    assert _relaxit_cli.conflict() == ""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["relaxit", "list"])
    with pytest.raises(SystemExit) as caught:
        _relaxit_cli.main()
    assert caught.value.code == 2
    assert "pip uninstall relaxit" in capsys.readouterr().err
    assert run(["doctor"]) == 1
    assert "1.2.1" in capsys.readouterr().out
