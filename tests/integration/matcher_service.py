"""The matcher with an encoder that knows one direction: its text vectors need no weights."""

from __future__ import annotations

import numpy as np

import encoders


class OneDirection:
    release = "fake-1"

    def texts(self, sentences):
        return np.stack([np.eye(1, 384, dtype=np.float32)[0] for _ in sentences])


if __name__ == "__main__":
    encoders.load = lambda *_, **__: OneDirection()
    from alerts.matcher import main

    main()
