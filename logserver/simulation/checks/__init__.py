"""What has to hold of a server's data, given what its clients were told."""
