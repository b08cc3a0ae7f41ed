"""The public verbs; the command line can do nothing that is not here."""
