#!/bin/sh
# Makes the namespace of the engine, with what runs are listed by. May be
# repeated.
set -eu

temporal operator namespace describe --namespace deviceops >/dev/null 2>&1 ||
	temporal operator namespace create --namespace deviceops --retention 72h
until temporal operator search-attribute list --namespace deviceops | grep -q DeviceId; do
	temporal operator search-attribute create --namespace deviceops --name DeviceId --type Keyword || sleep 1
done
