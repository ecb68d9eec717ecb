"""When the flows have come up."""

from pathlib import Path

import pytest

from connectors.control import control_record, progress_topic
from connectors.log import TopicConfig, open_log
from serving.settings import Settings
from serving.up import supervisor_of


@pytest.mark.parametrize(("run_flows", "ready"), [(("bars",), True), (("bars", "oms"), False)])
def test_flows_that_are_not_run_any_more_are_not_waited_for(
    tmp_path: Path, run_flows: tuple[str, ...], *, ready: bool
) -> None:
    """A first start that was stopped while it compiled leaves their topics; with fewer flows none came up again."""
    settings = Settings(home=tmp_path, run_flows=run_flows)
    (flows,) = (one for one in supervisor_of(settings)._programs if one.name == "flows")
    assert not flows.ready()
    with open_log(settings.log) as log:
        for name in ("bars", "indicators"):
            log.create_topic(TopicConfig(name=progress_topic(name), partitions=1))
        assert not flows.ready()
        log.append([control_record(progress_topic("bars"), 0, {})])
    assert flows.ready() == ready
