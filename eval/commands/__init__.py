"""The commands of ``asknotes eval``, one a module."""
