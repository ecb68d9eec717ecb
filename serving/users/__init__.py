"""Users, their sessions and API keys, in a database of their own; `serving.api` puts them behind routes."""
