"""The scenarios, by subject. Each file registers its own; harness/scenario.py is the vocabulary."""
