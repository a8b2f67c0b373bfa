"""All models, in the order of docs/models.md."""

from tests.models.compaction import COMPACTION
from tests.models.explorer import Modelled
from tests.models.high_watermark import HIGH_WATERMARK, UNCLEAN_READER
from tests.models.leadership import LEADERSHIP
from tests.models.log_start import LOG_START
from tests.models.producers import PRODUCERS
from tests.models.takeover import TAKEOVER
from tests.models.transactions import TRANSACTIONS
from tests.models.wal import UNCLEAN, WAL

CATALOGUE: tuple[Modelled, ...] = (
    TAKEOVER,
    LEADERSHIP,
    WAL,
    UNCLEAN,
    HIGH_WATERMARK,
    UNCLEAN_READER,
    PRODUCERS,
    LOG_START,
    COMPACTION,
    TRANSACTIONS,
)
