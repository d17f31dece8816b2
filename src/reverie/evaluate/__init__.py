"""Measuring a model: suites of figures on held-out worlds, prompts and machines."""
