"""Parts of one symbol's orders on their way to venues: of orders that are nothing else yet, so that no desk works them.

Each such part arrives, in order of time and of being sent, and is filled whole; what that takes of the market and of a
venue's hidden size is what an order of the desk takes. An order of which a part would not be filled whole, and one that
is asked for otherwise, is given to its desk as it stands, which goes on with it as if it had been there from the start.
"""

from typing import TYPE_CHECKING

from flows.orders.money import divided
from flows.trading.agenda import NEVER, Agenda, Due
from flows.trading.landed import Fill
from flows.trading.landing import Landing, Level
from flows.trading.paper import PaperVenue
from flows.trading.reporting import booked_fees
from flows.trading.sent_orders import SentOrders

if TYPE_CHECKING:
    from flows.trading.desk import Desk


class _Run:
    """Parts of one batch that arrive at one time, in the order of their notes; those before ``at`` have arrived."""

    __slots__ = ("arrival", "at", "numbers", "parts", "sent")

    def __init__(self, arrival: int, sent: SentOrders) -> None:
        self.arrival = arrival
        self.sent = sent
        self.numbers: list[int] = []
        self.parts: list[int] = []
        self.at = 0

    @property
    def due(self) -> Due:
        return self.arrival, self.numbers[self.at]


class InFlight:
    """The parts on their way of a symbol's orders.

    Parameters
    ----------
    desk : Desk
        Whose orders they are of.
    """

    def __init__(self, desk: "Desk") -> None:
        self.count = 0
        """Orders that have parts on their way here, and are not the desk's."""
        self._desk = desk
        # The next is the last, once that is sorted. No object a part: the collector of garbage would look at all of
        # them again and again.
        self._runs: list[_Run] = []
        self._is_sorted = True
        # By arrival: what further parts of the batch join.
        self._newest: dict[int, _Run] = {}

    @property
    def next_due(self) -> Due:
        """When the next part arrives, and the number of its note; `NEVER` if there is none."""
        if not self._runs:
            return NEVER
        if not self._is_sorted:
            self._runs.sort(key=lambda run: run.due, reverse=True)
            self._is_sorted = True
        return self._runs[-1].due

    def send(
        self,
        sent: SentOrders,
        row: int,
        parts: list[tuple[int, PaperVenue]],
        expires_at: int | None,
    ) -> None:
        """An order's parts are on their way."""
        desk = self._desk
        context = desk.context
        now = desk.market.now
        expires = expires_at is not None
        number = desk.agenda.numbers(len(parts) + expires)
        at = len(sent.rows_of)
        sent.add(row, parts, now=now, expires_at=expires_at, number=number)
        number += expires
        for _, venue in parts:
            self._join(sent, at, now + venue.latency_ns, number)
            number += 1
            at += 1
        self.count += 1
        context.working += 1
        context.flying[sent.ids[row]] = sent

    def send_whole(self, sent: SentOrders, part: int, venue: PaperVenue, *, expires: bool) -> int:
        """An order's one part is on its way; what else is to be known of it the caller tells. Its first note's number."""
        desk = self._desk
        number = desk.agenda.numbers(1 + expires)
        self._join(sent, part, desk.market.now + venue.latency_ns, number + expires)
        self.count += 1
        return number

    def land(self, before: Due, until_ns: int) -> None:
        """Parts arrive: those that are due before a note and until a time, or fewer, where the desk has to go on."""
        market = self._desk.market
        landing: Landing | None = None
        while self._runs:
            run = self._runs[-1]
            arrival, sent, part = run.arrival, run.sent, run.parts[run.at]
            if arrival > until_ns or run.due > before:
                break
            if not sent.is_open[part]:
                self._pass(run, 1)
                continue
            if landing is None or arrival > market.now:
                if landing is not None:
                    landing.close()
                market.now = max(market.now, arrival)
                landing = Landing(market)
            last = before[1] if before[0] == arrival else NEVER[0]
            if self._arrive_at_best(landing, run, last):
                continue
            self._pass(run, 1)
            if not self._arrive(landing, sent, part):
                return
        if landing is not None:
            landing.close()

    def give_back(self, sent: SentOrders, row: int) -> None:
        """An order on its way goes to the desk."""
        del self._desk.context.flying[sent.ids[row]]
        self.count -= 1
        sent.give_back(row)
        self._forget_if_done()

    def give_all_back(self) -> None:
        """All orders on their way go to the desk, in the order in which they were sent."""
        waiting = {}
        for run in self._runs:
            sent = run.sent
            for number, part in zip(run.numbers[run.at :], run.parts[run.at :], strict=True):
                if sent.is_open[part]:
                    waiting[number] = (sent, sent.rows_of[part])
        for _, (sent, row) in sorted(waiting.items(), key=lambda one: one[0]):
            if sent.open_parts[row]:
                self.give_back(sent, row)

    def _join(self, sent: SentOrders, part: int, arrival: int, number: int) -> None:
        run = self._newest.get(arrival)
        if run is None or run.sent is not sent:
            run = self._newest[arrival] = _Run(arrival, sent)
            self._runs.append(run)
            self._is_sorted = False
        run.numbers.append(number)
        run.parts.append(part)

    def _pass(self, run: _Run, count: int) -> None:
        """So many parts of the next run have arrived."""
        run.at += count
        if run.at == len(run.parts):
            self._runs.pop()
            if self._newest[run.arrival] is run:
                del self._newest[run.arrival]

    def _arrive_at_best(self, landing: Landing, run: _Run, last: int) -> int:
        """Parts of a run arrive, up to a number, as long as each has enough at one price; how many were filled."""
        sent = run.sent
        passed = 0
        is_open, rows_of, executions = sent.is_open, sent.rows_of, sent.executions
        met: tuple[PaperVenue, bool] | None = None
        level: Level | None = None
        fills: list[Fill] = []
        ended: list[int] = []
        for at in range(run.at, len(run.parts)):
            part = run.parts[at]
            if run.numbers[at] > last:
                break
            if not is_open[part]:
                passed += 1
                continue
            row, quantity, venue = rows_of[part], sent.quantities[part], sent.venues[part]
            is_buy = sent.is_buy[row]
            if met != (venue, is_buy):
                met, level = (venue, is_buy), landing.best(venue, is_buy=is_buy)
            if level is None or level.left < quantity:
                break
            price, limit = level.price, sent.limits[row]
            if limit is not None and (price > limit if is_buy else price < limit):
                break
            passed += 1
            level.left -= quantity
            level.taken += quantity
            landing.arrived[venue] += 1
            made = executions[row] + 1
            fills.append(
                (row, made, quantity, price, _fees(venue, sent, row, quantity, price), venue.name)
            )
            if sent.arrived(part, made, quantity * price):
                ended.append(row)
        self._pass(run, passed)
        if fills:
            self._tell(landing, sent, fills)
        if ended:
            self._end(sent, ended)
        return len(fills)

    def _arrive(self, landing: Landing, sent: SentOrders, part: int) -> bool:
        """One part arrives; false where the desk has its order now."""
        row = sent.rows_of[part]
        venue = sent.venues[part]
        quantity = sent.quantities[part]
        met = landing.fill(venue, quantity, sent.limits[row], is_buy=sent.is_buy[row])
        if met is None:
            # The note of its arrival is the desk's next.
            landing.close()
            self.give_back(sent, row)
            return False
        made = sent.executions[row]
        fills = [
            (row, number, size, price, _fees(venue, sent, row, size, price), venue.name)
            for number, (size, price) in enumerate(met, start=made + 1)
        ]
        self._tell(landing, sent, fills)
        if sent.arrived(part, made + len(met), sum(size * price for size, price in met)):
            self._end(sent, [row])
        return True

    def _tell(self, landing: Landing, sent: SentOrders, fills: list[Fill]) -> None:
        outbox = self._desk.context.outbox
        if landing.sent is not sent:
            landing.sent = sent
            outbox.landed.begin(sent, self._desk.market, len(outbox.executions))
        outbox.landed.add(fills)

    def _end(self, sent: SentOrders, rows: list[int]) -> None:
        """All of some orders is filled."""
        context = self._desk.context
        for row in rows:
            order_id = sent.ids[row]
            parts = sent.decisions(row)
            del context.flying[order_id]
            context.remember_numbers(
                order_id, (1, sent.executions[row], parts, parts, sent.totals[row])
            )
        self.count -= len(rows)
        context.working -= len(rows)
        self._forget_if_done()
        if not self._desk.has_orders:
            self._desk.agenda = Agenda()

    def _forget_if_done(self) -> None:
        if not self.count:
            # Those of orders that the desk has now.
            self._runs.clear()
            self._newest.clear()


def _fees(venue: PaperVenue, sent: SentOrders, row: int, quantity: int, price: int) -> int:
    numerator, denominator = venue.rates.at(price)
    return booked_fees(divided(numerator * quantity, denominator), sent.units[row])
