"""From archives to prepared arrays, batches and the clients' samples."""
