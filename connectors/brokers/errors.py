"""What may go wrong with a broker without a fault in the program."""


class BrokerError(RuntimeError):
    """The broker does not let us work; the message says why and what to do."""
