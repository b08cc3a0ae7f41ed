"""One module per shell: neutral steps to that shell's text."""
