"""The server: HTTP in front (`api`), one execution a run (`broker`), the device in a process of its own (`worker`)."""
