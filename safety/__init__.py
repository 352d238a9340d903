"""The safety layer between an agent and real money. Tools, resources and prompts import only `safety.face`."""
