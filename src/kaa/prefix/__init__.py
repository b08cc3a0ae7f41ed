"""What an environment holds: records, history, pins, variables; where environments are."""
