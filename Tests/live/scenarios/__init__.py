"""The scenarios, by subject. Each file registers its own; harness/vocabulary.py is the vocabulary."""
