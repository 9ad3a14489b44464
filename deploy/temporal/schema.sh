#!/bin/sh
# Brings Temporal's tables in PostgreSQL to the version of its tools. May be
# repeated.
set -eu

for part in temporal visibility; do
	database=temporal
	[ "$part" = temporal ] || database=temporal_visibility
	tool() {
		temporal-sql-tool --plugin postgres12 --endpoint postgres --port 5432 --user postgres --database "$database" "$@"
	}
	tool setup-schema --version 0.0 || true # is there already
	tool update-schema --schema-dir "/etc/temporal/schema/postgresql/v12/$part/versioned"
done
