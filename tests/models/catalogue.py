"""All models, in the order of docs/models.md."""

from tests.models.explorer import Modelled
from tests.models.leadership import LEADERSHIP
from tests.models.takeover import TAKEOVER
from tests.models.wal import UNCLEAN, WAL

CATALOGUE: tuple[Modelled, ...] = (TAKEOVER, LEADERSHIP, WAL, UNCLEAN)
