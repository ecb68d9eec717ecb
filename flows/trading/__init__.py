"""Trading: venues and their paper models, triggers, algorithms and routing; what the flow ``execution`` is made of."""
