"""Engines, which execute the steps of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.training.engines.compiled import compile_step as compile_step
    from relaxit.training.engines.cuda_graph import record_step as record_step
    from relaxit.training.engines.engine import Engine as Engine
    from relaxit.training.engines.engine import EngineName as EngineName

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.training.engines.engine": ["Engine", "EngineName"],
        "relaxit.training.engines.compiled": ["compile_step"],
        "relaxit.training.engines.cuda_graph": ["record_step"],
    },
)
