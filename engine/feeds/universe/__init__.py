"""What the simulation lists: crypto assets, the venues that trade them, and prediction markets."""
