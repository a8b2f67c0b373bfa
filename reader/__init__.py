"""reader room."""
