"""The bundled client of the log server."""
