"""Who asks, and what they may: identities, sessions, the permission table, and the one dependency that applies it."""
