"""Programs between the topics ``broker_orders`` and ``broker_reports`` and outside brokers: one a file."""
