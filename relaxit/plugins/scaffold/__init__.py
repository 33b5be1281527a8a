"""A new plugin package, written from a template: where a structure of one's own begins.

The template is a small relaxation that works. Its files lie in ``template/`` as data, under a
suffix of their own, because they are neither modules nor tests of relaxit.
"""

from __future__ import annotations

from relaxit.plugins.scaffold.naming import Names
from relaxit.plugins.scaffold.render import new_plugin

__all__ = ["Names", "new_plugin"]
