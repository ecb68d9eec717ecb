"""Which functions an analyst's statement may call: an allow list, and why the others are not on it.

An allow list, since what ClickHouse adds with a new version is unknown: a function that nobody has judged is
refused. `sql_guard_functions.txt` has the names by ClickHouse's own categories; a test holds the two against the
engine, so that each of its functions is in exactly one of them.
"""

from functools import cache
from pathlib import Path

_TABLES = "it reads a table or a dictionary that it names by a text"
_FILES = "it reads files, or tells of the machine's disks"
_MACHINE = "it tells of the machine, the server or its settings"
_OTHERS = "it tells of other users or of the connection"
_WAITS = "it waits"
_NETWORK = "it asks other computers"
_MEMORY = "it tells of the program's memory, or writes to the server's log"
_INNER = "the engine makes it for itself"
_SETS = "its right side may be a table; write the operator IN"
_FORMATS = "formats may read files of their own; take FORMAT at the end of the statement"
_TEXTS = "it handles statements, which is nothing for an analyst's data"

_REFUSED: dict[str, str] = {
    _TABLES: """
        joinGet joinGetOrNull hasColumnInTable dictGet dictGetAll dictGetChildren dictGetDate
        dictGetDateOrDefault dictGetDateTime dictGetDateTimeOrDefault dictGetDescendants dictGetFloat32
        dictGetFloat32OrDefault dictGetFloat64 dictGetFloat64OrDefault dictGetHierarchy dictGetIPv4
        dictGetIPv4OrDefault dictGetIPv6 dictGetIPv6OrDefault dictGetInt16 dictGetInt16OrDefault dictGetInt32
        dictGetInt32OrDefault dictGetInt64 dictGetInt64OrDefault dictGetInt8 dictGetInt8OrDefault dictGetKeys
        dictGetOrDefault dictGetOrNull dictGetRoot dictGetString dictGetStringOrDefault dictGetUInt16
        dictGetUInt16OrDefault dictGetUInt32 dictGetUInt32OrDefault dictGetUInt64 dictGetUInt64OrDefault
        dictGetUInt8 dictGetUInt8OrDefault dictGetUUID dictGetUUIDOrDefault dictHas dictIsIn regionHierarchy
        regionIn regionToArea regionToCity regionToContinent regionToCountry regionToDistrict regionToName
        regionToPopulation regionToTopContinent assignCentroid evalMLMethod naiveBayesClassifier
        naiveBayesClassifierWithAllProbs naiveBayesClassifierWithProb pgTableIsVisible
        timeSeriesIdToTags timeSeriesIdToGroup timeSeriesStoreTags timeSeriesIdToTagsGroup
    """,
    _FILES: "file filesystemAvailable filesystemCapacity filesystemUnreserved",
    _MACHINE: """
        FQDN fullHostName hostName hostname buildId displayName getMacro getMergeTreeSetting
        getOSKernelVersion getServerPort getServerSetting getSetting getSettingOrDefault globalVariable
        hasThreadFuzzer revision serverUUID shardCount shardNum showCertificate tcpPort uptime
        zookeeperSessionUptime getMaxTableNameLengthForDatabase defaultProfiles enabledProfiles currentProfiles
    """,
    _OTHERS: """
        authenticatedUser authUser connectionId connection_id connectionID currentHandler currentRequestURL
        getClientHTTPHeader initialQueryID initial_query_id initialQueryStartTime initial_query_start_time
        queryID query_id currentQueryID current_query_id runningConcurrency transactionID
        transactionLatestSnapshot transactionOldestSnapshot enabledRoles defaultRoles currentRoles pgGetUserById
        pg_get_userbyid pg_table_is_visible
    """,
    _WAITS: "sleep sleepEachRow",
    _NETWORK: """
        aiClassify aiEmbed aiExtract aiFilter aiGenerate aiRedact aiSimilarity aiTranslate AIClassify AIEmbed
        AIExtract AIFilter AIGenerate AIRedact AISimilarity AITranslate
    """,
    _MEMORY: """
        addressToLine addressToLineWithInlines addressToSymbol demangle isMergeTreePartCoveredBy logTrace
        mergeTreePartInfo tid generateSerialID flameGraph aggThrow
    """,
    _INNER: """
        __actionName __applyFilter __bitBoolMaskAnd __bitBoolMaskOr __bitSwapLastTwo __bitWrapperFunc
        __getScalar __groupingForCube __groupingForGroupingSets __groupingForRollup __groupingOrdinary
        __patchPartitionID __scalarSubqueryResult __toYearCalendarOnly indexHint nothing nothingUInt64
        nothingNull kqlParameterCast
    """,
    _SETS: """
        inIgnoreSet notInIgnoreSet globalInIgnoreSet globalNotInIgnoreSet nullInIgnoreSet notNullInIgnoreSet
        globalNullInIgnoreSet globalNotNullInIgnoreSet nullIn notNullIn globalNullIn globalNotNullIn
    """,
    _FORMATS: "formatRow formatRowNoNewline groupFormat",
    _TEXTS: """
        formatQuery formatQueryFromJSON formatQueryOrNull formatQuerySingleLine formatQuerySingleLineOrNull
        fuzzQuery generateRandomStructure highlightQuery normalizeQuery normalizeQueryKeepNames
        normalizedQueryHash normalizedQueryHashKeepNames obfuscateQuery obfuscateQueryWithSeed
        parseQueryToJSON tokenizeQuery
    """,
}

REFUSED_FUNCTIONS: dict[str, str] = {
    name.lower(): reason for reason, names in _REFUSED.items() for name in names.split()
}
"""Lower-case names of functions that are not allowed, each with the reason."""

# The engine writes IN as a function; a statement's own text is looked at by the operator.
OPERATOR_FUNCTIONS = frozenset({"in", "notin", "globalin", "globalnotin"})

# https://clickhouse.com/docs/sql-reference/aggregate-functions/combinators, as in
# system.aggregate_function_combinators; longest first, so that OrNull is not taken for Null.
_COMBINATORS = tuple(
    sorted(
        [
            "argmax",
            "argmin",
            "array",
            "distinct",
            "foreach",
            "if",
            "map",
            "merge",
            "mergestate",
            "null",
            "ordefault",
            "ornull",
            "resample",
            "simplestate",
            "state",
            "tuple",
        ],
        key=len,
        reverse=True,
    )
)

TABLE_FUNCTIONS = frozenset(
    {"numbers", "numbers_mt", "zeros", "zeros_mt", "values", "generateseries", "generate_series"}
    | {"primes", "null", "view"}
)
"""Table functions that read nothing: what they give is in the statement itself (`view` is a subquery)."""

# Names of types stand before a bracket as functions do; ClickHouse has no function of these names that is not
# allowed.
_TYPES = frozenset(
    [
        "array",
        "bfloat16",
        "bool",
        "char",
        "date",
        "date32",
        "datetime",
        "datetime32",
        "datetime64",
        "dec",
        "decimal",
        "decimal32",
        "decimal64",
        "decimal128",
        "decimal256",
        "double",
        "dynamic",
        "enum",
        "enum8",
        "enum16",
        "fixedstring",
        "float",
        "float32",
        "float64",
        "int",
        "int8",
        "int16",
        "int32",
        "int64",
        "int128",
        "int256",
        "interval",
        "ipv4",
        "ipv6",
        "json",
        "lowcardinality",
        "map",
        "nested",
        "nullable",
        "numeric",
        "object",
        "string",
        "time",
        "time64",
        "tuple",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "uint128",
        "uint256",
        "uuid",
        "varchar",
        "variant",
    ]
)


@cache
def higher_order_functions() -> frozenset[str]:
    """Lower-case names of functions whose first argument is a function: a lambda, or a bare name."""
    # As system.functions says; a test compares.
    array = """
    all avg bottomk compact count cumsum cumsumnonnegative difference exists fill filter first firstindex
    firstornull fold last lastindex lastornull map max min partialreversesort partialsort product reversefill
    reversesort reversesplit sort split sum topk
    """
    of_maps = "all apply exists filter partialreversesort partialsort reversesort sort"
    return frozenset(
        {f"array{name}" for name in array.split()} | {f"map{name}" for name in of_maps.split()}
    )


@cache
def allowed_functions() -> frozenset[str]:
    """Lower-case names of the functions and aggregate functions of the allow list."""
    text = (Path(__file__).parent / "sql_guard_functions.txt").read_text()
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(name.lower() for line in lines for name in line.split())


@cache
def function_refusal(name: str) -> str | None:
    """Why a function may not be called; None where it may.

    Parameters
    ----------
    name : str
        As in the statement: of any case, combinators of an aggregate function included.

    Examples
    --------
    >>> function_refusal("sumIf") is None
    True
    >>> function_refusal("HostName")
    'it tells of the machine, the server or its settings'
    """
    word = name.lower()
    if word in REFUSED_FUNCTIONS:
        return REFUSED_FUNCTIONS[word]
    allowed = allowed_functions()
    if word in allowed or word in _TYPES:
        return None
    base = word
    while True:
        ending = next((one for one in _COMBINATORS if base.endswith(one) and base != one), None)
        if ending is None:
            return "it is not on the list of functions that are known to be harmless"
        base = base.removesuffix(ending)
        if base in REFUSED_FUNCTIONS:
            return REFUSED_FUNCTIONS[base]
        if base in allowed:
            return None
