"""What each destination can do."""
