"""From an account to draws: the exact way, the PyMC model, fits and their storage."""
