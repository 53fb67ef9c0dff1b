"""The local page: a server for this machine alone, sessions of its tabs, one thread for the model, static files."""
