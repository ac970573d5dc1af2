"""NetworkService.GetIndexes: what SKUs and nodes are called in columns."""

from engine.model.answers import IndexesAnswer
from engine.model.queries import GetIndexes
from engine.pool.names import Names
from engine.service.convert.entry import Entry
from engine.service.fields import Rules
from stockpool.v1 import network_pb2 as pb

INDEXES_MAX = 20_000
"""SKUs, and nodes, of one GetIndexes."""


def get_indexes(request: pb.GetIndexesRequest, rules: Rules) -> GetIndexes:
    """Keys of SKUs and nodes."""
    check = rules.check()
    for path, keys in (("sku_keys", request.sku_keys), ("node_keys", request.node_keys)):
        check.count(path, len(keys), "indexes_max", INDEXES_MAX, 0)
    query = GetIndexes(
        check.min_journal_seq(request.min_journal_seq),
        check.keys("sku_keys", request.sku_keys),
        check.keys("node_keys", request.node_keys),
    )
    check.done()
    return query


def _fill(response: pb.GetIndexesResponse, reply: IndexesAnswer, names: Names) -> None:
    del names
    response.directory = reply.directory
    response.sku_indexes.extend(reply.sku_indexes)
    response.node_indexes.extend(reply.node_indexes)


GET_INDEXES = Entry(get_indexes, pb.GetIndexesResponse, _fill)
