"""One self-contained page, its equations, checklist and citation."""
