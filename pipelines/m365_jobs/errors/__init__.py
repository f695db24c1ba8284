"""Turn errors into one readable paragraph with the cure."""
