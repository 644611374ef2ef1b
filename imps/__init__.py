"""imps: the sources of a census gap."""

__version__ = "0.1.0"
