"""Reads a HAR file with haralyzer, and prints what it found: a line of JSON for each entry.

  python har_check.py FILE
"""

import json
import sys
from pathlib import Path

from haralyzer import HarEntry, HarParser


def main() -> int:
    har = HarParser(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    if har.version != "1.2" or har.creator["name"] != "Muster":
        print(f"version {har.version} by {har.creator}", file=sys.stderr)
        return 1
    for entry in map(HarEntry, har.har_data["entries"]):
        found = {
            "method": entry.request.method,
            "url": entry.request.url,
            "query": entry.request.queryString,
            "accept": entry.request.accept,
            "status": entry.response.status,
            "started": entry.startTime.isoformat(),
            "milliseconds": entry.time,
        }
        print(json.dumps(found))
    return 0


sys.exit(main())
