"""`python -m reporter` is `tidegate agent`."""

import sys

from reporter.agent.command import main

if __name__ == "__main__":
    sys.exit(main(command="python -m reporter"))
