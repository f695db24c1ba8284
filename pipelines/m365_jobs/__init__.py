"""The application: pipeline, command line and what comes with them."""
