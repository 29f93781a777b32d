"""The contract's routes, served by each framework in its own way."""
