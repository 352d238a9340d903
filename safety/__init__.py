"""What stands between an agent and real money. Tools, resources and prompts know `safety.face` and nothing else."""
