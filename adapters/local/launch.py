"""Where a supervisor begins: ``python -I -S …/adapters/local/launch.py RUN_FOLDER``.

Started by its own path and isolated (-I -S), so that neither the current folder nor PYTHONPATH can slip in another
``adapters``; the folder that holds ours is put last, behind the standard library.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from adapters.local.supervisor import main

    sys.exit(main(sys.argv[1:]))
