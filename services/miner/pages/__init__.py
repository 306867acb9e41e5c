"""The pages: written on the server from Jinja templates, live by htmx where there is a script, whole without one."""
