#!/bin/sh
# `serve`: get the weights ready, index what changed in the notes, serve. Anything else is a command of asknotes.
set -eu

if [ "${1:-}" = serve ]; then
    asknotes models --fetch >&2
    asknotes index >&2 || echo 'Indexing failed; what was published before is served.' >&2
fi
exec asknotes "$@"
