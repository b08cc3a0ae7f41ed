"""HTTP and file transports, credentials, downloads."""
