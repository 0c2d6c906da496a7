"""One request explained in words and tables for people. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Sequence

from trimaran.catalog import format_usd
from trimaran.ledger.explanation import AttemptRow, CapacityShare, Explanation
from trimaran.ledger.moments import utc_text
from trimaran.ledger.records import OPEN

__all__ = ["attempts_table", "explanation_text"]


def attempts_table(rows: list[AttemptRow]) -> tuple[list[str], list[list[str]]]:
    """One request's attempts, first to last."""
    headers = [
        "attempt",
        "target",
        "why",
        "status",
        "http",
        "error",
        "ttft",
        "latency",
        "input",
        "output",
        "cost",
        "reason",
    ]
    return headers, [
        [
            str(row.attempt),
            row.target,
            row.why,
            row.status,
            str(row.http_status or ""),
            row.error_code or "",
            _us_text(row.ttft_us),
            _us_text(row.latency_us),
            _count_text(row.input_tokens),
            _count_text(row.output_tokens),
            "unknown" if row.cost_nanos is None else format_usd(row.cost_nanos),
            row.reason,
        ]
        for row in rows
    ]


def explanation_text(found: Sequence[Explanation]) -> list[str]:
    """Lines for people about one request."""
    first = found[0].attempt
    who = [f"tenant {first.tenant}", f"key {first.key_id}" if first.key_id else "no key"]
    who += [f"{name}={value}" for name, value in first.tags.items()]
    how = f"{first.dialect_in}{', streamed' if first.stream else ''}, configuration {first.snapshot}, worker {first.worker}"
    lines = [
        f"request  {first.request_id}",
        f"when     {utc_text(first.started_ns)}",
        f"who      {', '.join(who)}",
        f"asked    {first.model} ({how})" if first.dialect_in else f"asked    {first.model}",
        f"ended    {_ending_text(found)}",
    ]
    for each in found:
        lines += ["", *_attempt_lines(each)]
    return lines


def _ending_text(found: Sequence[Explanation]) -> str:
    last = found[-1].attempt
    start, ends = found[0].attempt.started_ns, [each.attempt for each in found if each.attempt.latency_us is not None]
    took = max((row.started_ns + (row.latency_us or 0) * 1000 - start for row in ends), default=None)
    text = (
        "its process died"
        if found[-1].cut_off
        else "not yet"
        if last.status == OPEN
        else f"{last.status}, attempt {last.attempt} of {len(found)}"
    )
    cost = sum(each.attempt.cost_nanos or 0 for each in found) + sum(
        share.nanos or 0 for each in found for share in each.capacity
    )
    unknown = any(_unknown(each) for each in found)
    text += "" if took is None else f", after {_us_text(took // 1000)}"
    return f"{text}, {'at least ' if unknown else ''}{format_usd(cost)} in all"


def _unknown(each: Explanation) -> bool:
    if any(share.nanos is None for share in each.capacity):
        return True
    return each.attempt.cost_nanos is None and not each.capacity


def _attempt_lines(each: Explanation) -> list[str]:
    row = each.attempt
    title = f"attempt {row.attempt}  {row.target}" + (f" (for {row.fallback_model})" if row.fallback_model else "")
    return [
        title + (" (simulated)" if row.simulated else ""),
        *_aligned(
            [
                ("why", row.why),
                ("sent", _sent_text(each)),
                ("outcome", _outcome_text(each)),
                ("first token", _us_text(row.ttft_us)),
                ("latency", _us_text(row.latency_us)),
                ("tokens", _tokens_text(row)),
                ("service tier", row.service_tier),
                ("bound", "none: it could not be bounded" if row.bound_nanos is None else format_usd(row.bound_nanos)),
                ("price", _price_text(row)),
                *_cost_rows(each),
                *(("pool", _share_text(share)) for share in each.capacity),
                ("reason", row.reason),
            ]
        ),
    ]


def _aligned(rows: Sequence[tuple[str, str]]) -> list[str]:
    return [f"  {name:<13}{text}" for name, text in rows if text]


def _sent_text(each: Explanation) -> str:
    text = utc_text(each.attempt.started_ns)
    return text if each.waited_us is None else f"{text}, {_us_text(each.waited_us)} after the attempt before had ended"


def _outcome_text(each: Explanation) -> str:
    row = each.attempt
    if row.status == OPEN:
        return "cut off: its process died; it cost its bound at most" if each.cut_off else "under way"
    parts = [row.status, f"HTTP {row.http_status}" if row.http_status else "", row.error_code or ""]
    parts.append(f"finished by {row.finish_reason}" if row.finish_reason else "")
    return ", ".join(part for part in parts if part)


def _tokens_text(row: AttemptRow) -> str:
    if row.input_tokens is None:
        return f"none reported; the input was estimated at {row.input_tokens_estimate:,}"
    inner = _parts_text(cached=row.cached_read_tokens, written=row.cache_write_tokens, audio=row.audio_input_tokens)
    outer = _parts_text(reasoning=row.reasoning_tokens, audio=row.audio_output_tokens)
    searches = "".join(
        f", {count:,} {name}"
        for name, count in (("web searches", row.web_searches), ("file searches", row.file_searches))
        if count
    )
    return (
        f"{row.input_tokens:,} in{inner}, {row.output_tokens:,} out{outer}{searches}"
        f"{', counted by us' if row.estimated else ''}"
    )


def _parts_text(**parts: int | None) -> str:
    found = ", ".join(f"{count:,} {name}" for name, count in parts.items() if count)
    return f" ({found})" if found else ""


def _price_text(row: AttemptRow) -> str:
    if row.price is None:
        return row.price_version or ""
    since = f", in force from {row.price.valid_from}" if row.price.valid_from else ""
    return f"{row.price.version}, from {row.price.source}, as of {row.price.as_of}{since}"


def _cost_rows(each: Explanation) -> list[tuple[str, str]]:
    row = each.attempt
    if row.cost_nanos is None:
        if row.status == OPEN:
            return []
        return [("cost", "by capacity" if any(share.nanos is not None for share in each.capacity) else "unknown")]
    rows = [("cost", format_usd(row.cost_nanos))]
    for line in each.lines:
        amount = _picos_text(line.amount_picos)
        rows.append(("", f"{line.quantity:,} {line.kind.replace('_', ' ')} x {_picos_text(line.picos)} = {amount}"))
    if each.rounding_picos:
        rows.append(("", f"rounded up by {_picos_text(each.rounding_picos)}"))
    elif each.lines and each.rounding_picos is None:
        rows.append(("", "the price that the ledger kept does not tell all of it"))
    return rows


def _share_text(share: CapacityShare) -> str:
    place = " ".join(part for part in (share.offer, share.purchase_option, share.platform, share.region) if part)
    used = f"{share.tokens:,} tokens x {share.service_ns / 1e9:.3f} s in the hour of {utc_text(share.from_ns)[:13]}:00"
    if share.nanos is None:
        return f"{share.pool} ({place}): unknown, it has no price; {used}"
    amortised = f", {format_usd(share.amortised_nanos)} of it amortised" if share.amortised_nanos else ""
    return (
        f"{share.pool} ({place}): {format_usd(share.nanos)}{amortised}; {used}; the pool cost "
        f"{format_usd(share.pool_nanos)} then, {format_usd(share.idle_nanos)} of it idle"
    )


def _picos_text(picos: int) -> str:
    whole, rest = divmod(picos, 10**12)
    return f"${whole:,}." + f"{rest:012d}".rstrip("0").ljust(2, "0")


def _us_text(us: int | None) -> str:
    return "" if us is None else f"{(us + 500) // 1000:,} ms"


def _count_text(count: int | None) -> str:
    return "" if count is None else f"{count:,}"
