"""The topics that somebody may read, for whoever chooses one: the page's panel of any topic, a client's menu."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from schemas.registry import TOPICS
from serving.api.security import KNOWN, Principal, may_read_topic

router = APIRouter(prefix="/v1", tags=["streams"])


class TopicView(BaseModel):
    """A topic."""

    name: str
    kind: str = Field(description="raw, or derived from other topics")
    meaning: str
    key: str = Field(description="Field that streams filter by")


class TopicList(BaseModel):
    """Topics in order of name."""

    topics: list[TopicView]


@router.get("/topics")
async def topics(principal: Annotated[Principal, Depends(KNOWN)]) -> TopicList:
    """Topics whose rows one may read."""
    return TopicList(
        topics=[
            TopicView(name=name, kind=topic.kind.value, meaning=topic.meaning, key=topic.key)
            for name, topic in sorted(TOPICS.items())
            if may_read_topic(principal, name)
        ]
    )
