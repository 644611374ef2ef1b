"""From a folder of tables to the sources of one account, with every check on the way."""

import pkgutil

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[module.name for module in pkgutil.iter_modules(__path__)],
    submod_attrs={"check": ["ImportReport", "check_project", "load_project"]},
)
