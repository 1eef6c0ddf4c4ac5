"""The transaction coordinator: which producer has a transactional id, and how each transaction ends."""
