"""Implement the command line: what the user types and sees in the terminal."""
