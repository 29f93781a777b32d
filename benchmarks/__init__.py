"""What a verification costs, as ratios measured side by side: `python -m benchmarks`."""
