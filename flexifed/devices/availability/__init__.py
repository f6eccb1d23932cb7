"""When devices are available; one file each, found by `flexifed.settings.registry`."""
