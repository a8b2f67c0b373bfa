"""More of the random histories: `python -m tests.transactions [STEPS] [SEED]`, a million steps without."""

import sys

from tests.transactions.driver import Driver

STEPS_OF_HISTORY = 5_000


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    for number in range(-(-wanted // STEPS_OF_HISTORY)):
        seed = first + number
        print(f"\rseed {seed}", end="", flush=True)
        Driver(seed, first_epoch=32_700 if number % 3 == 0 else -1).run(STEPS_OF_HISTORY)
    print(f"\r{wanted} steps, no difference")


if __name__ == "__main__":
    main()
