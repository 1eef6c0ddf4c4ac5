"""Record batch bytes without I/O: header, codec, compression, control records."""
