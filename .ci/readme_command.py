"""Print a fenced command of README.md by its label (``<!-- command: NAME -->`` on the line before the fence)."""

import re
import sys
from pathlib import Path

text = Path(__file__).resolve().parent.parent.joinpath("README.md").read_text()
found = re.search(rf"<!-- command: {re.escape(sys.argv[1])} -->\n```sh\n(.*?)\n```", text, re.S)
if not found:
    sys.exit(f"README.md has no command labelled {sys.argv[1]!r}")
print(found.group(1))
