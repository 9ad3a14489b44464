#!/bin/sh
# Prepares Vault for DeviceOps: the policy and the AppRole of the engine, and the
# keys that encrypt what Temporal and the artifact store keep. May be repeated, and has to be after a
# restart of a Vault in development mode, which forgets everything.
#
#   VAULT_ADDR=... VAULT_TOKEN=... setup.sh FOLDER POLICY
#
# FOLDER gets secret-id, for --vault-secret-id-file, payload-keys and
# artifact-keys: the keys outlive such a restart there, since without them no
# workflow could go on, and no release could be read. A Vault of your own keeps
# them itself.
set -eu
folder=$1 policy=$2

vault() { # METHOD PATH [JSON]
	curl -fsS -X "$1" -H "X-Vault-Token: $VAULT_TOKEN" ${3:+-d "$3"} "$VAULT_ADDR/v1/$2"
}

until vault GET sys/health >/dev/null 2>&1; do sleep 1; done

vault GET sys/auth/approle/tune >/dev/null 2>&1 || vault POST sys/auth/approle '{"type": "approle"}'
vault POST sys/policies/acl/deviceops "{\"policy\": \"$(base64 <"$policy" | tr -d '\n')\"}"
vault POST auth/approle/role/deviceops '{"token_policies": "deviceops", "token_ttl": "1h", "token_max_ttl": "24h"}'
vault POST auth/approle/role/deviceops/role-id '{"role_id": "deviceops"}'

umask 077
vault POST auth/approle/role/deviceops/secret-id | sed 's/.*"secret_id":"\([^"]*\)".*/\1/' >"$folder/secret-id"

keys() { # FILE PATH
	if [ ! -s "$folder/$1" ]; then
		id=k$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
		echo "{\"current\": \"$id\", \"keys\": {\"$id\": \"$(head -c 32 /dev/urandom | base64)\"}}" >"$folder/$1"
	fi
	value=$(sed 's/"/\\"/g' "$folder/$1")
	vault POST "secret/data/$2" "{\"data\": {\"value\": \"$value\"}}" >/dev/null
}
keys payload-keys temporal/payload-keys
keys artifact-keys engine/artifact-keys
