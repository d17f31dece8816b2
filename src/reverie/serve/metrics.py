"""Counts and times for Prometheus, in its text format."""

from __future__ import annotations

import time
from collections import defaultdict

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)  # seconds


class Meter:
    """A layer that counts requests by route and status, and times them until their answer begins."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.counts: dict[tuple[str, str, int], int] = defaultdict(int)
        self.buckets: dict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
        self.sums: dict[str, float] = defaultdict(float)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count one."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._count(scope, message["status"], time.perf_counter() - began)
            await send(message)

        await self.app(scope, receive, sending)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in ("GET", "POST", "DELETE", "HEAD") else "other"
        self.counts[method, route, status] += 1
        self.buckets[method][next((i for i, most in enumerate(BUCKETS) if seconds <= most), len(BUCKETS))] += 1
        self.sums[method] += seconds

    def text(self, gauges: dict[str, float]) -> str:
        """All of it; ``gauges``: what else is to be said, by name."""
        said = ["# TYPE reverie_requests_total counter"]
        said += [f'reverie_requests_total{{method="{method}",route="{route}",status="{status}"}} {count}'
                 for (method, route, status), count in sorted(self.counts.items())]
        said.append("# TYPE reverie_request_seconds histogram")
        for method, counts in sorted(self.buckets.items()):
            total = 0
            for most, count in zip((*BUCKETS, "+Inf"), counts, strict=True):
                total += count
                said.append(f'reverie_request_seconds_bucket{{method="{method}",le="{most}"}} {total}')
            said.append(f'reverie_request_seconds_sum{{method="{method}"}} {self.sums[method]:.6f}')
            said.append(f'reverie_request_seconds_count{{method="{method}"}} {total}')
        for name, value in gauges.items():
            if "{" not in name:
                said.append(f"# TYPE {name} gauge")
            said.append(f"{name} {value:g}")
        return "\n".join(said) + "\n"
