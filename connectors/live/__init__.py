"""Adapters to live sources over WebSocket: what they say becomes rows, what they lack `feed_events`."""
