"""Accounts whose truth is known, told without the model."""
