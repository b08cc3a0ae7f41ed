"""Specs and candidates to one consistent solution, or a conflict that explains itself; pure."""
