"""The audit log, for who may read it."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from connectors.audit_log import read_rows
from serving.api.scopes import Scope
from serving.api.security import Principal, require
from serving.api.state import state_of

router = APIRouter(prefix="/v1", tags=["audit"])


class AuditRow(BaseModel):
    """A row of the audit log."""

    sequence: int
    ts_event: int = Field(description="ns since 1970 UTC")
    actor: str
    action: str
    subject: str | None
    result: str
    reason: str | None
    origin: str | None
    device: str | None
    correlation_id: str | None
    previous_hash: str
    hash: str


class AuditPage(BaseModel):
    """Rows, the newest first."""

    rows: list[AuditRow]
    before: int | None = Field(description="Where the next page begins; null for the last")


@router.get("/audit-log")
async def audit_log(
    _: Annotated[Principal, Depends(require(Scope.AUDIT_READ))],
    request: Request,
    before: Annotated[
        int | None, Query(ge=1, lt=2**63, description="Only rows of smaller numbers")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> AuditPage:
    """Who did what; all of it is also the table `audit_log`."""
    log = state_of(request).log
    found: list[dict[str, Any]] = await asyncio.to_thread(
        read_rows, log, before=before, limit=limit
    )
    rows = [AuditRow(**{name: row[name] for name in AuditRow.model_fields}) for row in found]
    more = len(rows) == limit and rows[-1].sequence > 1
    return AuditPage(rows=rows, before=rows[-1].sequence if more else None)
