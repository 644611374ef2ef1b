"""One command from published figures to a folder of results, and back from it."""

import pkgutil

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[module.name for module in pkgutil.iter_modules(__path__)],
    submod_attrs={"run": ["Run", "load_run", "rebuild_report", "variant_model"]},
)
