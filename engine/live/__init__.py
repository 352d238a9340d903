"""Live strategies: what can be deployed, who subscribed, what was decided on closed bars, and who is told."""
