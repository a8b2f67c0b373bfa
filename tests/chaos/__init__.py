"""Faults on real processes under load from real clients: commands of their own, and a short run in the suite."""
