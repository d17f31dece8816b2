"""Verbs of the command line that have many arguments: what they read, and the one function that each calls."""
