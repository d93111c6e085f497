#!/usr/bin/env python3
"""`wget -q -O /dev/null URL`: does it answer?"""

import sys
import urllib.request

urllib.request.urlopen(sys.argv[-1])  # noqa: S310
