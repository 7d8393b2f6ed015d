"""The local hub's page for people: its files, and what it asks the hub.

browser -- / page.js page.css --> pages     three files, no secret in them
        -- /admin/view/...    --> views     the hub's state (event loop) and the store's (watch, a thread)
        -- /admin/...         --> hub/service/admin: what changes something
"""
