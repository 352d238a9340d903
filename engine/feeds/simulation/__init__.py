"""How simulated candles are made: counter-based noise, daily paths, and refinement into shorter bars."""
