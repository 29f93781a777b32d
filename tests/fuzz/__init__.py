"""
Coverage-guided fuzzing of whatever reads text that a stranger wrote.

`python -m tests.fuzz` fuzzes with atheris where that is installed; the targets themselves need nothing
but the package, and `tests/test_fuzz.py` runs each of them over its seeds and a few mutants everywhere.
"""
