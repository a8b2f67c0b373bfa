"""view room."""
