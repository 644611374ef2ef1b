"""What a fit says: checks, attribution, reconciliation, prediction, sensitivity."""
