"""Hostile bytes for a node: seeded, so that any input can be made again from the seed and its number."""
