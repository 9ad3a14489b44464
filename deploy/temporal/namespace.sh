#!/bin/sh
# Makes the namespace of the engine, with what runs are listed by. May be
# repeated.
set -eu

temporal operator namespace describe --namespace deviceops >/dev/null 2>&1 ||
	temporal operator namespace create --namespace deviceops --retention 72h
for name in DeviceOpsAccount DeviceOpsDevice DeviceOpsStartedBy DeviceOpsWaitingFor; do
	until temporal operator search-attribute list --namespace deviceops | grep -q "$name"; do
		temporal operator search-attribute create --namespace deviceops --name "$name" --type Keyword || sleep 1
	done
done
