"""The proof: the whole broker in one process, on virtual time and a disk that forgets, driven and judged by seeds."""
