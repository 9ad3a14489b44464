#!/usr/bin/env bash
# Runs all tests: with the race detector where that is affordable. A binary that
# links the embedded Temporal server takes many minutes to build with it, so
# those packages run without. Arguments go to go test.
set -euo pipefail
cd "$(dirname "$0")/.."

server=go.temporal.io/server/temporal
linking=$(go list -test -f "{{range .Deps}}{{if eq . \"$server\"}}{{\$.ImportPath}}{{\"\n\"}}{{end}}{{end}}" ./... |
	sed -e 's/ .*//' -e 's/\.test$//' -e 's/_test$//' | sort -u)
others=$(comm -23 <(go list ./... | sort) <(echo "$linking"))

race=
if [ "$(go env CGO_ENABLED)" = 1 ] && command -v "$(go env CC)" >/dev/null; then
	race=-race
else
	echo "No C compiler: the tests run without the race detector."
fi

status=0
[ -z "$others" ] || go test $race "$@" $others || status=$?
[ -z "$linking" ] || go test "$@" $linking || status=$?
exit $status
