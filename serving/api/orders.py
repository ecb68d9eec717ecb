"""Orders: given, replaced, cancelled, asked for. What is acknowledged here is on disk.

The routes take raw bodies: the gateway's own readers are exact with decimals and read a batch column-wise; the
models of the document are derived from the same declaration.
"""

import asyncio
import secrets
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel

from connectors.audit_log import AuditEntry
from flows.orders.commands import REPLACEABLE
from schemas.order_ids import order_id_of
from serving.api.audit import Result, entry_of
from serving.api.order_bodies import (
    BATCH_BODY,
    REPLACEMENT_BODY,
    Orders,
    Received,
    ReceivedBatch,
    prepare_batch,
)
from serving.api.order_pages import find_order, orders_page, whose
from serving.api.problems import ApiError, correlation_of
from serving.api.scopes import Scope
from serving.api.security import Principal, check_sees, check_trades, require
from serving.api.state import ApiState, Part, state_of
from serving.gateway.gateway import OrderGateway
from serving.gateway.known_orders import unpacked
from serving.gateway.order_rows import command_row
from serving.gateway.order_writer import BusyError, Refusal, Submission
from serving.gateway.requests import RequestFaultError, order_model, read_one, replacement_model
from serving.hub.hub import Hub
from serving.latest.history import History

PARTS = (
    lambda state: History(state.settings.store),
    lambda state: Hub(state.log),
    lambda state: OrderGateway(state.log, state.audit.writer.append),
)
