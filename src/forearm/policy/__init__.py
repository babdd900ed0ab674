"""Policies: from an observation to a decision."""
