"""The names that users import."""

from cauce.reading import replay, scan

__all__ = ["replay", "scan"]
