"""1-minute bars of one-event JSON trades with Flink SQL; runs in an environment of its own.

`bench_json_bars` runs it with the Python that has apache-flink: ``json_bars_flink.py BROKER JAR``.
It prints one JSON object: the job's own seconds, without the start of Python and the JVM.
"""

import json
import sys

from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment

_TRADES = """
CREATE TABLE trades (
  symbol STRING, venue STRING, ts_event BIGINT, price DOUBLE, size DOUBLE,
  ts AS TO_TIMESTAMP_LTZ(ts_event / 1000000, 3), WATERMARK FOR ts AS ts
) WITH (
  'connector' = 'kafka', 'topic' = 'trades.in', 'properties.bootstrap.servers' = '{broker}',
  'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset',
  'format' = 'json'
)
"""
_BARS = """
CREATE TABLE bars (
  symbol STRING, ts_event TIMESTAMP_LTZ(3),
  `open` DOUBLE, high DOUBLE, low DOUBLE, `close` DOUBLE, volume DOUBLE, trade_count BIGINT
) WITH (
  'connector' = 'kafka', 'topic' = 'bars.flink', 'properties.bootstrap.servers' = '{broker}',
  'format' = 'json'
)
"""
_QUERY = """
INSERT INTO bars
SELECT symbol, window_time, FIRST_VALUE(price), MAX(price), MIN(price), LAST_VALUE(price), SUM(size),
  COUNT(*)
FROM TABLE(TUMBLE(TABLE trades, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
GROUP BY symbol, window_start, window_end, window_time
"""


def main(broker: str, jar: str) -> None:
    configuration = Configuration()
    configuration.set_string("pipeline.jars", f"file://{jar}")
    configuration.set_string("parallelism.default", "2")
    settings = EnvironmentSettings.new_instance().in_streaming_mode()
    tables = TableEnvironment.create(settings.with_configuration(configuration).build())
    tables.execute_sql(_TRADES.format(broker=broker))
    tables.execute_sql(_BARS.format(broker=broker))
    job = tables.execute_sql(_QUERY)
    job.wait()
    client = job.get_job_client()
    if client is None:
        raise SystemExit("Flink gave no job client, so the job's time is not known")
    milliseconds = client.get_job_execution_result().result().get_net_runtime()
    print(json.dumps({"seconds": milliseconds / 1000}))


if __name__ == "__main__":
    main(*sys.argv[1:])
