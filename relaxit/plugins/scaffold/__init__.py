"""Write a new plugin package from a template, as a starting point for a structure of your own.

The template is a small working relaxation. Its files are data in ``template/``, with the suffix
``.template``, because they are neither modules nor tests of relaxit.
"""

from __future__ import annotations

from relaxit.plugins.scaffold.naming import Names
from relaxit.plugins.scaffold.render import new_plugin

__all__ = ["Names", "new_plugin"]
