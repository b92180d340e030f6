"""Inferences that the host runs, proves and checks for guests, and what they cost."""
