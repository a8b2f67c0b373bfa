"""Sessions of other releases in the view: what they say more is passed over, what they do not say is the earliest."""

import json

from infra.view.packing import pack_session, unpack_session
from infra.view.port import FORMATS
from tests.view.builders import SESSION, live


def test_a_session_says_what_its_release_reads() -> None:
    assert unpack_session(SESSION, pack_session(live())) == live()
    assert live().formats == FORMATS


def test_a_session_of_the_first_release_reads_batch_segments_alone() -> None:
    said = json.loads(pack_session(live()))
    del said["formats"]
    assert unpack_session(SESSION, json.dumps(said).encode()).formats == 1


def test_what_a_later_release_says_more_is_passed_over() -> None:
    said = {**json.loads(pack_session(live())), "formats": FORMATS + 1, "mood": "good"}
    assert unpack_session(SESSION, json.dumps(said).encode()).formats == FORMATS + 1
