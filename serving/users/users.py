"""The users database with all that is done with it, opened as the settings say."""

from collections.abc import Callable
from time import time_ns

from serving.settings import Settings
from serving.users.api_keys import ApiKeys
from serving.users.database import Database
from serving.users.key_file import load_keys
from serving.users.known_devices import KnownDevices
from serving.users.people import People
from serving.users.second_factor import SecondFactors
from serving.users.sessions import Sessions
from serving.users.sign_in import SignIn


class Users:
    """Users, their sessions, second factors and keys.

    Parameters
    ----------
    settings : Settings
        Where the database and the key file are, and how long tokens are good for.
    clock : callable
        Wall time, ns since 1970 UTC.

    Raises
    ------
    UsersDatabaseError
        Where the database does not answer.
    KeyFileError
        Where the key file cannot be used.
    """

    def __init__(self, settings: Settings, clock: Callable[[], int] = time_ns) -> None:
        keys = load_keys(settings.users_key_path)
        self.database = Database(settings.users_url)
        self.people = People(self.database, clock)
        self.sessions = Sessions(
            self.database,
            keys,
            access_s=settings.api_access_s,
            refresh_s=settings.api_refresh_s,
            clock=clock,
        )
        self.factors = SecondFactors(self.database, keys, clock)
        self.devices = KnownDevices(keys, clock)
        self.sign_in = SignIn(self.database, self.factors, self.sessions, self.devices, clock)
        self.keys = ApiKeys(self.database, clock)

    def close(self) -> None:
        """Close the database."""
        self.database.close()
