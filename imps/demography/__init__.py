"""Demographic accounting, periods and age schedules: plain arrays, no model."""
