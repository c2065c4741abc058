"""Files that change while they are read."""

from pathlib import Path
from threading import Event, Thread

from service.security.followed import Followed

PATIENCE_S = 10.0


def test_a_slow_look_does_not_bring_back_what_a_later_one_took_out(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("one")
    begun, go_on = Event(), Event()

    def read() -> str:
        content = path.read_text()
        if content == "one, two":
            begun.set()
            assert go_on.wait(PATIENCE_S)
        return content

    followed = Followed("keys", [path], read)
    path.write_text("one, two")
    slow, later = Thread(target=followed.look), Thread(target=followed.look)
    slow.start()
    assert begun.wait(PATIENCE_S)
    path.write_text("nothing of before")
    later.start()
    later.join(0.2)
    go_on.set()
    slow.join(PATIENCE_S)
    later.join(PATIENCE_S)
    assert followed.content == "nothing of before"
