"""Traces of requests, sent by OpenTelemetry where an endpoint is set; without one nothing of it is loaded."""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from serving.settings import SettingsError

Trace = Callable[
    [MutableMapping[str, Any], str], AbstractContextManager[Callable[[str, int], None]]
]


def tracer(endpoint: str) -> Trace | None:
    """What makes a span of each request; None without an endpoint.

    Parameters
    ----------
    endpoint : str
        Of OTLP over HTTP.

    Returns
    -------
    callable or None
        Of a request's ASGI scope and correlation id; gives a context for the request, which is told route and
        status at its end. A ``traceparent`` header of the client is gone on from (W3C Trace Context).

    Raises
    ------
    SettingsError
        Where what it needs is not installed.
    """
    if not endpoint:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an extra
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra
    except ImportError:
        raise SettingsError("otlp_endpoint needs `pip install 'tapeflow[tracing]'`") from None
    return tracer_to(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))


def tracer_to(processor: Any) -> Trace:
    """What makes a span of each request and hands it to a span processor of OpenTelemetry's SDK."""
    from opentelemetry import trace  # noqa: PLC0415 - an extra
    from opentelemetry.propagate import extract  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": "tapeflow-api"}))
    provider.add_span_processor(processor)
    spans = provider.get_tracer("tapeflow.api")

    @contextmanager
    def traced(
        scope: MutableMapping[str, Any], correlation: str
    ) -> Iterator[Callable[[str, int], None]]:
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        method = scope.get("method", "WS")
        with spans.start_as_current_span(
            method, context=extract(headers), kind=trace.SpanKind.SERVER
        ) as span:
            span.set_attribute("http.request.method", method)
            span.set_attribute("url.path", scope["path"])
            span.set_attribute("tapeflow.correlation_id", correlation)

            def ended(route: str, status: int) -> None:
                span.update_name(f"{method} {route}")
                span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status)

            yield ended

    return traced
