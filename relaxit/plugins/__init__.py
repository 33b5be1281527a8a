"""Plugins: how they are found, loaded and looked up by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.plugins.discovery import discover as discover
    from relaxit.plugins.fingerprint import plugins_fingerprint as plugins_fingerprint
    from relaxit.plugins.record import PluginRecord as PluginRecord
    from relaxit.plugins.record import registered_name as registered_name
    from relaxit.plugins.record import registration_problem as registration_problem
    from relaxit.plugins.registry import Registry as Registry
    from relaxit.plugins.registry import default_registry as default_registry
    from relaxit.plugins.registry import estimator as estimator
    from relaxit.plugins.registry import get as get
    from relaxit.plugins.registry import load_file as load_file
    from relaxit.plugins.registry import register as register
    from relaxit.plugins.registry import relaxations as relaxations
    from relaxit.plugins.registry import unload_file as unload_file
    from relaxit.plugins.registry import unregister as unregister

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.plugins.discovery": ["discover"],
        "relaxit.plugins.fingerprint": ["plugins_fingerprint"],
        "relaxit.plugins.record": ["PluginRecord", "registration_problem", "registered_name"],
        "relaxit.plugins.registry": [
            "Registry",
            "default_registry",
            "estimator",
            "get",
            "load_file",
            "register",
            "relaxations",
            "unload_file",
            "unregister",
        ],
    },
)
