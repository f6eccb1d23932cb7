"""Smaller members of a family: costs, budgets, masks."""
