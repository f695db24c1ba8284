"""Dashboard, report and image."""
