#!/usr/bin/env python3
"""`mc ready local`: does the store listen?"""

import socket

socket.create_connection(("127.0.0.1", 9000), 2)
