"""One command from published figures to a folder of results, and back from it."""
