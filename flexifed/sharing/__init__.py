"""Who averages what: layers, prefix tree, plan."""
