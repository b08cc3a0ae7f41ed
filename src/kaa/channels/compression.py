"""One zstd frame for the files of a channel: with its size and a checksum, the same bytes for the same content."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    import zstandard


class Compressor:
    """Makes frames of one level, one after the other; not for two threads at once."""

    def __init__(self, level: int) -> None:
        if sys.version_info >= (3, 14):
            parameter = zstd.CompressionParameter
            self._options = {parameter.compression_level: level, parameter.checksum_flag: 1}
        else:
            self._compressor = zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True)

    def compress(self, content: bytes) -> bytes:
        """The frame that holds `content`."""
        if sys.version_info >= (3, 14):
            return zstd.compress(content, options=self._options)
        return self._compressor.compress(content)
