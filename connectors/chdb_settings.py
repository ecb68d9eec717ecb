"""Settings that a user of the embedded store may send along with a request; all others are the platform's."""

from collections.abc import Mapping

from connectors.clickhouse_statement import StatementError
from connectors.store_quotas import LIMIT_SETTINGS

SHAPES = frozenset(
    [
        "cancel_http_readonly_queries_on_client_close",
        "cast_string_to_dynamic_use_inference",
        "date_time_input_format",
        "date_time_output_format",
        "enable_http_compression",
        "extremes",
        "format_csv_delimiter",
        "http_headers_progress_interval_ms",
        "http_response_buffer_size",
        "http_wait_end_of_query",
        "http_write_exception_in_output_format",
        "http_zlib_compression_level",
        "join_use_nulls",
        "log_comment",
        "low_cardinality_allow_in_native_format",
        "max_block_size",
        "output_format_arrow_compression_method",
        "output_format_arrow_low_cardinality_as_dictionary",
        "output_format_arrow_string_as_string",
        "output_format_binary_write_json_as_string",
        "output_format_decimal_trailing_zeros",
        "output_format_json_named_tuples_as_objects",
        "output_format_json_quote_64bit_floats",
        "output_format_json_quote_64bit_integers",
        "output_format_json_quote_decimals",
        "output_format_json_quote_denormals",
        "output_format_native_encode_types_in_binary_format",
        "output_format_native_write_json_as_string",
        "output_format_parquet_compression_method",
        "output_format_parquet_string_as_string",
        "output_format_write_statistics",
        "prefer_column_name_to_alias",
        "send_progress_in_http_headers",
        "session_timezone",
    ]
)
"""What changes no more than how an answer looks, or what drivers send without being asked."""

INSERTS = frozenset(
    [
        "async_insert",
        "insert_deduplicate",
        "insert_deduplication_token",
        "max_insert_block_size",
        "max_insert_threads",
        "max_threads",
        "min_insert_block_size_bytes",
        "min_insert_block_size_rows",
    ]
)
"""What a lander says of its inserts; some drivers say it with every statement."""


def asked_settings(given: Mapping[str, str], allowed: frozenset[str]) -> dict[str, str]:
    """The settings that a request asks for.

    Raises
    ------
    StatementError
        164 for one that is not allowed.
    """
    found = dict(given)
    if found.get("readonly") in {"1", "2"}:
        # It is so in any case.
        del found["readonly"]
    for name in found:
        if name not in allowed:
            raise StatementError(
                f"Code: 164. DB::Exception: Cannot modify '{name}' setting: a request of this user may set "
                f"{', '.join(sorted(LIMIT_SETTINGS))} (to less than the user's limits) and what shapes the "
                "answer; see docs/sql.md. (READONLY)"
            )
    return found
