"""The Python interpreters of this machine: found, asked, and made into packages that stand alone."""
