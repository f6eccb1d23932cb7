"""Figures: pure functions from tables and plans to matplotlib figures, one figure per module."""
