"""What the operators of the registry compute, in NumPy and TA-Lib. `compute` in `calling` is the way in."""
