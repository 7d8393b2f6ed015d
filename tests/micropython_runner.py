"""Runs the portable tests under MicroPython: every `test_*` function of the files named as arguments.

    micropython tests/micropython_runner.py tests/unit/ring/test_log.py ...

Prints a line for each failure, and `N passed, N failed` last; the exit code says whether all passed.
"""

import gc
import sys


def run(path):
    """Import one test file by path; return (passed, failed)."""
    folder, _, name = path.rpartition("/")
    sys.path.insert(0, folder)
    passed = failed = 0
    try:
        module = __import__(name[: -len(".py")])
    except Exception as error:
        sys.print_exception(error)
        print("FAILED %s: cannot be imported" % path)
        return 0, 1
    finally:
        sys.path.pop(0)
    for test in sorted(dir(module)):
        if not test.startswith("test_"):
            continue
        try:
            getattr(module, test)()
            passed += 1
        except Exception as error:
            sys.print_exception(error)
            print("FAILED %s::%s" % (path, test))
            failed += 1
    del sys.modules[module.__name__]
    gc.collect()
    return passed, failed


def main():
    passed = failed = 0
    for path in sys.argv[1:]:
        one_passed, one_failed = run(path)
        print("%s %d" % (path, one_passed))
        passed += one_passed
        failed += one_failed
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


sys.exit(main())
