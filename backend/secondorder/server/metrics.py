"""What Prometheus is told."""

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

if TYPE_CHECKING:
    from secondorder.server.broker import Broker


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        own = {"registry": self.registry, "namespace": "secondorder"}
        self.requests = Counter("requests", "Requests answered", ["method", "status"], **own)
        self.runs = Counter("runs", "Runs ended", ["state"], **own)
        self.seconds = Histogram("run_seconds", "Seconds from a run's post to its end", **own)
        self.restarts = Counter("worker_restarts", "Workers replaced", **own)
        self.dropped = Counter("viewers_dropped", "Viewers dropped because they did not read", **own)
        self._gauges = {
            "unfinished": Gauge("unfinished_runs", "Runs queued or under way", **own),
            "viewers": Gauge("viewers", "Streams open on unfinished runs", **own),
            "kept": Gauge("kept_runs", "Ended runs in memory", **own),
            "bytes": Gauge("kept_bytes", "Bytes of ended runs in memory", **own),
            "warming": Gauge("lessons_to_warm", "Lessons whose programs are not yet compiled", **own),
            "ready": Gauge("worker_ready", "1 where the worker has opened its device", **own),
        }

    def read(self, broker: "Broker") -> bytes:
        """All figures in Prometheus' text format."""
        now = {
            "unfinished": broker.unfinished,
            "viewers": broker.viewers,
            "kept": len(broker.recent),
            "bytes": broker.recent.size,
            "warming": broker.warming,
            "ready": broker.ready,
        }
        for name, value in now.items():
            self._gauges[name].set(value)
        return generate_latest(self.registry)
