"""Every option declared once; condarc files, environment and command line to one value with provenance."""
