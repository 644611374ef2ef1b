"""One self-contained page, its equations, checklist and citation."""

import pkgutil

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[module.name for module in pkgutil.iter_modules(__path__)],
    submod_attrs={
        "report": ["html_report", "write_report"],
        "sections": ["figure_png", "report_figures"],
        "summary": ["plain_summary"],
    },
)
