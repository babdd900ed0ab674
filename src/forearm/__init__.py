"""forearm: an open action reasoning system for robots.

see → reason → vet → move → compare → explain. Start with `forearm.runtime.loop`.
"""

__version__ = "0.1.0"
