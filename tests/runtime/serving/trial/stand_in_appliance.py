"""`python -m tests.runtime.serving.trial.stand_in_appliance BEHAVIOUR …`: one with the trials of `stand_in_trial`.

DANDELION_TEST_ANSWER_S is the longest that a change of the model keeps a client waiting, if that is not to be 10 s.
"""

from __future__ import annotations

import os
import sys

from runtime.__main__ import main
from runtime.api.routes import models
from runtime.serving.trial import process

if __name__ == "__main__":
    process.COMMAND = [sys.executable, "-m", "tests.runtime.serving.trial.stand_in_trial", sys.argv.pop(1)]
    models.ANSWER_S = float(os.environ.get("DANDELION_TEST_ANSWER_S", models.ANSWER_S))
    main()
