-- Breadth, each interval with its newest revision only: SELECT * FROM breadth_current WHERE universe = 'ALL'
CREATE OR REPLACE VIEW breadth_current AS
SELECT
    universe,
    interval,
    ts_event,
    max(breadth.revision) AS revision,
    argMax(members, breadth.revision) AS members,
    argMax(advances, breadth.revision) AS advances,
    argMax(declines, breadth.revision) AS declines,
    argMax(unchanged, breadth.revision) AS unchanged,
    argMax(net_advances, breadth.revision) AS net_advances,
    argMax(new_highs, breadth.revision) AS new_highs,
    argMax(new_lows, breadth.revision) AS new_lows,
    argMax(up_volume, breadth.revision) AS up_volume,
    argMax(down_volume, breadth.revision) AS down_volume,
    argMax(volume, breadth.revision) AS volume,
    argMax(tuple(trin), breadth.revision).1 AS trin
FROM breadth
GROUP BY universe, interval, ts_event
