# SPDX-License-Identifier: MIT
"""A job without torch; says which sitecustomize ran."""
import sys

print("torch" in sys.modules, getattr(sys, "shadowed_ran", 0))
print(getattr(sys.modules.get("sitecustomize"), "MARK", None))
