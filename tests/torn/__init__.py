"""Nodes that die, and a Redis that is wiped, between the decision of a transaction and its last record."""
