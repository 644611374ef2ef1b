"""Official tables, read as text first: from a file to a checked table."""
