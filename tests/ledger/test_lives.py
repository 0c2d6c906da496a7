"""What a worker's life used, as the ledger tells it after its death."""

from __future__ import annotations

from pathlib import Path

from trimaran.ledger import IdSource, JournalWriter, Settled, Started, Store, encode_tags
from trimaran.ledger.leases import AccountRow
from trimaran.ledger.lives import is_taken_in, used_by
from trimaran.types import Usage

DAY_NS = 86_400 * 1_000_000_000
TAGS = encode_tags([("cost_center", "4=2"), ("app", "x")])


def account(scope: str, name: str, unit: str) -> AccountRow:
    return AccountRow(f"{scope}:{name}:{unit}/day", DAY_NS, 2 * DAY_NS, scope, name, unit, "day")


class Life:
    """Attempts of one worker's life, in the journal."""

    def __init__(self, folder: Path, worker: int = 0) -> None:
        self.writer = JournalWriter(folder, f"worker-{worker}", 1 << 16)
        self.ids = IdSource(worker)
        self.name = self.ids.next(DAY_NS // 1_000_000)

    def attempt(self, *, at: int = DAY_NS, number: int = 1, bound: int | None = 100, **fields: str) -> tuple[str, int]:
        request = self.ids.next(at // 1_000_000)
        values = {"tenant": "acme", "key_id": "a", "tags": TAGS, "dialect_out": "openai.chat", **fields}
        self.writer.append(Started(request, number, at, bound_nanos=bound, **values))  # type: ignore[arg-type]
        return request, number

    def settle(self, attempt: tuple[str, int], cost: int | None, usage: Usage | None) -> None:
        self.writer.append(Settled(*attempt, 2 * DAY_NS, "acme", usage=usage, cost_nanos=cost))


def test_settled_at_cost_and_open_or_unknown_at_their_bound(tmp_path: Path) -> None:
    life, other = Life(tmp_path / "journal"), Life(tmp_path / "journal", worker=1)
    life.settle(life.attempt(), 30, Usage(10, 5))
    life.settle(life.attempt(number=2), 0, None)
    life.settle(life.attempt(at=2 * DAY_NS), 1000, Usage(1, 1))
    life.settle(life.attempt(key_id="b"), 7, Usage(2, 2))
    life.settle(life.attempt(dialect_out="anthropic.count_tokens"), 0, Usage(900, 0))
    other.settle(other.attempt(), 5000, Usage(1, 1))
    assert not is_taken_in(tmp_path / "journal", life.writer.life)
    life.writer.close()
    with Store(tmp_path / "ledger.sqlite3") as store:
        store.ingest(tmp_path / "journal")
        assert is_taken_in(tmp_path / "journal", life.writer.life)
        assert not is_taken_in(tmp_path / "journal", other.writer.life)
        assert used_by(store, life.name, account("key", "a", "usd")) == 30
        assert used_by(store, life.name, account("key", "a", "tokens")) == 15
        assert used_by(store, life.name, account("key", "a", "requests")) == 1
        assert used_by(store, life.name, account("tenant", "acme", "usd")) == 37
        assert used_by(store, life.name, account("tenant", "acme", "requests")) == 2
        assert used_by(store, life.name, account("tag", "cost_center=4=2", "usd")) == 37
        assert used_by(store, life.name, account("tag", "cost_center=4", "usd")) == 0
        assert used_by(store, other.name, account("key", "a", "usd")) == 5000
    other.writer.close()


def test_what_has_no_bound_is_not_known(tmp_path: Path) -> None:
    life = Life(tmp_path / "journal")
    life.attempt(key_id="open")
    life.settle(life.attempt(key_id="unpriced"), None, Usage(3, 4))
    life.attempt(key_id="unbounded", bound=None)
    life.writer.close()
    with Store(tmp_path / "ledger.sqlite3") as store:
        store.ingest(tmp_path / "journal")
        assert used_by(store, life.name, account("key", "open", "usd")) == 100
        assert used_by(store, life.name, account("key", "open", "tokens")) is None
        assert used_by(store, life.name, account("key", "open", "requests")) == 1
        assert used_by(store, life.name, account("key", "unpriced", "usd")) == 100
        assert used_by(store, life.name, account("key", "unpriced", "tokens")) == 7
        assert used_by(store, life.name, account("key", "unbounded", "usd")) is None


def test_a_damaged_segment_leaves_a_life_unknown(tmp_path: Path) -> None:
    (tmp_path / "worker-0.00aa.000000.damaged").touch()
    assert not is_taken_in(tmp_path, "worker-0.00aa")
    assert is_taken_in(tmp_path, "worker-0.00ab")
