"""Ways to deal samples to clients; one file each, found by `flexifed.settings.registry`."""
