"""What we ask the operating system: files, links, locks, processes, hashes, directories, virtual packages."""
