"""The API: one router a resource; `serving.api.app` puts them together."""
