"""Where the SQL texts of the repository, or of the installed package, lie."""

from pathlib import Path


def sql_folder(name: str) -> Path:
    """The folder of a kind: tables, views, queries, or what the audit asks.

    Raises
    ------
    FileNotFoundError
        Where it is neither in the checkout nor in the installation.
    """
    root = Path(__file__).resolve().parents[1]
    for folder in (root / "sql" / name, root / "serving" / "_sql" / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"no SQL texts {name!r} beside {root}: the installation is not whole")
