"""The four public documents: two written, two generated from what the engine really does."""
