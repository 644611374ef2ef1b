"""One self-contained page, its equations, checklist and citation."""

import pkgutil

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[module.name for module in pkgutil.iter_modules(__path__)],
    submod_attrs={
        "report": ["figure_png", "html_report", "report_figures", "write_report"],
        "summary": ["plain_summary"],
    },
)
