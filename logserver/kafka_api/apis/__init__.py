"""One file per Kafka API: each opens with the versions served, what it does, and what it does not do."""
