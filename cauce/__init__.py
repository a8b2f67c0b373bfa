"""cauce room."""
