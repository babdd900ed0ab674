# fast-simplification 0.2.0: no type information.
from typing import Any

def __getattr__(name: str) -> Any: ...
