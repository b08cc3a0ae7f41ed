"""Change an environment: plan, actions, journal, execute."""
