"""Real exchanges through ccxt. `session` is the only module that imports it, and only when an exchange is used."""
