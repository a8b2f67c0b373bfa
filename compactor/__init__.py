"""compactor room."""
