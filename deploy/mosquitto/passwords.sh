#!/bin/sh
# Writes the broker's password file: the engine, and a simulated fleet whose
# devices each have a name of their own, so that the access rules hold for them.
#
#   ENGINE_PASSWORD=... FLEET_PASSWORD=... passwords.sh FILE PREFIX COUNT
set -eu

file=${1:?usage: passwords.sh FILE PREFIX COUNT}
prefix=${2:?usage: passwords.sh FILE PREFIX COUNT}
count=${3:?usage: passwords.sh FILE PREFIX COUNT}
umask 077

{
	echo "engine:${ENGINE_PASSWORD:?}"
	n=1
	while [ "$n" -le "$count" ]; do
		printf '%s-%05d:%s\n' "$prefix" "$n" "${FLEET_PASSWORD:?}"
		n=$((n + 1))
	done
} >"$file"
mosquitto_passwd -U "$file" # replaces the passwords by their hashes
