"""The catalogue finds flows by their names, and loads no more than it must."""

import subprocess
import sys

from flows.catalog import catalog, flows_named


def test_flows_by_name_are_those_of_the_catalogue_in_the_order_asked_for() -> None:
    known = catalog()
    names = list(reversed(known))
    assert list(flows_named(names).items()) == [(name, known[name]) for name in names]


def test_a_name_that_is_no_flow_s_is_left_out() -> None:
    assert list(flows_named(["nothing", "bars", "engines", "flow", "no flow"])) == ["bars"]


def test_a_flow_is_loaded_without_the_others() -> None:
    """A program of one flow that is started again has its first row half a second sooner."""
    told = (
        "import sys; from flows.catalog import flows_named; print(list(flows_named(['bars'])), "
        "*sorted({'flows.book', 'flows.intake', 'polars'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['bars']"
