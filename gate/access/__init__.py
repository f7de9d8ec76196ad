"""Who may call what: tokens, roles, and the guard before the services."""
