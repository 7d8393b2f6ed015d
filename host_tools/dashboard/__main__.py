"""The hub as a process, with its page: what `fieldpost hub run` turns into."""

from host_tools.dashboard.pages import Pages
from host_tools.hub.__main__ import main

if __name__ == "__main__":
    main(Pages)
