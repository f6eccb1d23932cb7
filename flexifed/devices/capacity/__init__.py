"""Speeds and bandwidths of devices; one file each, found by `flexifed.settings.registry`."""
