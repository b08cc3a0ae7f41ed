"""Enter an environment: activation, dialects, hooks, start-up files, run."""
