"""The examples of the repository, run as a user runs them."""
