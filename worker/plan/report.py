"""A plan in words, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .planning import ASSUMPTIONS, Plan


def lines_of(plan: Plan, preset: str, gpu: str) -> Iterator[str]:
    """For people."""
    audience, line, capacity = plan.audience, plan.line, plan.capacity
    yield (
        f"{preset} on {gpu}: {audience.viewers:,.10g} viewers at once in the mean, for "
        f"{in_words(audience.session)} each: {audience.arrivals_an_hour:,.0f} come an hour"
    )
    yield f"sessions a GPU: {capacity.streams}, by {capacity.because}"
    yield (
        f"replicas: {plan.replicas}, one GPU each: {line.places} places, "
        f"{plan.utilisation:.0%} of them taken in the mean"
    )
    yield (
        f"wait: {in_words(line.wait_of(audience.share))} at most for {100 * audience.share:.6g} % of viewers "
        f"(asked: {in_words(audience.wait)}), {in_words(line.mean_wait)} in the mean; "
        f"{line.busy:.1%} have to wait at all"
    )
    yield "cost, without traffic, CPU machines and disks:"
    for price in plan.prices:
        note = f"; {price.note}" if price.note else ""
        read = f", read {price.read}" if price.read else ""
        yield (
            f"  {price.provider}, ${price.usd:.2f} a GPU and hour: "
            f"${plan.cost_an_hour(price):,.2f} an hour, ${plan.cost_a_session(price):.3f} a session"
            f" ({price.source}{read}{note})"
        )
    yield from _starts(plan)
    yield "assumed:"
    for assumption in ASSUMPTIONS:
        yield f"  {assumption}"
    for warning in capacity.warnings:
        yield f"warning: {warning}"


def _starts(plan: Plan) -> Iterator[str]:
    starts, cheapest, session = plan.starts, plan.prices[0], plan.audience.session
    idle = starts.cold + starts.keep_alive
    came = plan.audience.arrivals_an_hour * starts.cold / 3600
    yield (
        f"a cold start ({in_words(starts.cold)}, {starts.cold_from}) and keep-alive "
        f"({in_words(starts.keep_alive)}), at ${cheapest.usd:.2f} a GPU and hour:"
    )
    yield (
        f"  a replica that starts and ends once more adds ${cheapest.usd * idle / 3600:.3f}; "
        f"while it starts, {came:.3g} viewers come"
    )
    yield (
        f"  a viewer alone on a replica that slept waits {in_words(starts.cold)} and costs "
        f"${cheapest.usd * (idle + session) / 3600:.3f}, of which the session is "
        f"${cheapest.usd * session / 3600:.3f}"
    )


def as_json(plan: Plan, preset: str, gpu: str | None) -> dict[str, Any]:
    """For programs; seconds and dollars."""
    audience, line, capacity, starts = plan.audience, plan.line, plan.capacity, plan.starts
    idle = starts.cold + starts.keep_alive
    return {
        "preset": preset,
        "gpu": gpu,
        "viewers": audience.viewers,
        "session_s": audience.session,
        "arrivals_an_hour": audience.arrivals_an_hour,
        "asked": {"wait_s": audience.wait, "share": audience.share},
        "sessions_a_gpu": capacity.streams,
        "frames_a_second_a_gpu": capacity.fps,
        "sessions_a_gpu_from": capacity.because,
        "replicas": plan.replicas,
        "places": line.places,
        "utilisation": plan.utilisation,
        "must_wait": line.busy,
        "wait_s": line.wait_of(audience.share),
        "wait_s_mean": line.mean_wait,
        "costs": [
            {
                "provider": price.provider,
                "usd_a_gpu_hour": price.usd,
                "source": price.source,
                "read": price.read or None,
                "note": price.note or None,
                "usd_an_hour": plan.cost_an_hour(price),
                "usd_a_session": plan.cost_a_session(price),
                "usd_a_start": price.usd * idle / 3600,
                "usd_alone_and_cold": price.usd * (idle + audience.session) / 3600,
            }
            for price in plan.prices
        ],
        "cold_start_s": starts.cold,
        "cold_start_from": starts.cold_from,
        "keep_alive_s": starts.keep_alive,
        "around": [
            {
                "replicas": replicas,
                "must_wait": one.busy,
                "wait_s": one.wait_of(audience.share),
                "wait_s_mean": one.mean_wait,
                "usd_an_hour": plan.cost_an_hour(plan.prices[0], replicas),
            }
            for replicas, one in plan.around()
        ],
        "assumed": list(ASSUMPTIONS),
        "warnings": list(capacity.warnings),
    }


def in_words(seconds: float) -> str:
    """`0.25` -> `250 ms`, `5` -> `5 s`, `360` -> `6 min`, `5400` -> `1.5 h`."""
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms" if seconds else "0 s"
    if seconds < 60:
        return f"{seconds:.3g} s"
    if seconds < 3600:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h"
