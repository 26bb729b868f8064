from pkgutil import extend_path

# The messages (msg, srv, action) are generated into the installed half of this package.
__path__ = extend_path(__path__, __name__)
