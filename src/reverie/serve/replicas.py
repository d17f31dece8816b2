"""``reverie serve --ray``: the same application as a Ray Serve deployment of several replicas.

Each replica is a whole server with workers of its own. They share one data folder, and so one queue and one gallery:
any of them answers for every job. SQLite's locks want that folder on one machine's disk, so replicas use one machine's
cores and GPUs; over several machines, give each a data folder and put a load balancer that keeps a client to one of
them in front.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from reverie.core.errors import BadInput, ReverieError
from reverie.serve.models import models_facts
from reverie.serve.settings import Settings

AT_ONCE = 1000  # requests that one replica has in hand: most of them wait for nothing


def serve_replicas(settings: Settings, count: int) -> None:
    """Serve until Ctrl-C. Raises BadInput, BadWeights, ReverieError without Ray."""
    if not settings.loopback and not settings.keys:
        raise BadInput(f"on {settings.host} others can reach it: give --api-key-file, or bind to 127.0.0.1")
    try:
        import ray
        from ray import serve
    except ImportError:
        raise ReverieError('this needs Ray: pip install "reverie[scale]"') from None
    settings.make_folders()
    models_facts(settings.models)
    own = replace(settings, rate=-(-settings.rate // count))  # each replica sees its share of a key's requests

    def build():
        from reverie.serve.app import make_app

        return make_app(own)

    ray.init(ignore_reinit_error=True, include_dashboard=False, log_to_driver=False, logging_level="warning")
    try:
        serve.start(http_options={"host": settings.host, "port": settings.port})
        made = serve.deployment(name="reverie", num_replicas=count, max_ongoing_requests=AT_ONCE,
                                ray_actor_options={"num_cpus": 0.1})(serve.ingress(build)())
        serve.run(made.bind(), name="reverie", route_prefix="/")
        print(f"Reverie serves http://{settings.host}:{settings.port}/ with {count} replicas "
              f"(data in {settings.data}); Ctrl-C ends it", flush=True)
        threading.Event().wait()
    finally:
        serve.shutdown()
        ray.shutdown()
