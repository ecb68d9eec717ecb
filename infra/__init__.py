"""How Tapeflow is run: brokers, servers, dashboards; no logic."""
