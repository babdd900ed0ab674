# MuJoCo 4.0.0 is a compiled module without type information; here its names are known to exist and nothing more.
from typing import Any

def __getattr__(name: str) -> Any: ...
