"""The reproduction room."""
