"""Many areas at once: every area's gap shared among its sources, coherent with the nation.

The nation is an ordinary fit and stays as it is; areas are contrasts to it. In every draw the
areas add up to the nation, internal moves add up to nothing but the recorded moves across the
border, and the sources of each area close on its own gap.
"""

import pkgutil

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submodules=[module.name for module in pkgutil.iter_modules(__path__)]
)
