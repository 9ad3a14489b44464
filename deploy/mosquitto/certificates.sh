#!/bin/sh
# Makes an authority, the broker's certificate and certificates for devices.
# Keeps what is there already, so that devices stay known.
#
#   certificates.sh FOLDER [DEVICE...]
#
# BROKER_NAMES adds names and addresses that clients know the broker by.
set -eu

folder=${1:?usage: certificates.sh FOLDER [DEVICE...]}
shift
names=DNS:localhost,DNS:mosquitto,IP:127.0.0.1${BROKER_NAMES:+,$BROKER_NAMES}
mkdir -p "$folder"
cd "$folder"
umask 077

# sign NAME EXTENSIONS: a key and a certificate for two years.
sign() {
	openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
	openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
	printf '%s\n' "$2" >"$1.ext"
	openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 730 -sha256 \
		-extfile "$1.ext" -out "$1.crt" 2>/dev/null
	rm "$1.csr" "$1.ext"
	chmod 644 "$1.crt"
}

if [ ! -f ca.crt ]; then
	openssl ecparam -name prime256v1 -genkey -noout -out ca.key
	openssl req -x509 -new -key ca.key -days 3650 -sha256 -subj "/CN=DeviceOps devices" -out ca.crt
	chmod 644 ca.crt
fi
if [ ! -f server.crt ]; then
	sign server "subjectAltName=$names
extendedKeyUsage=serverAuth"
fi
for device in "$@"; do
	[ -f "$device.crt" ] || sign "$device" "extendedKeyUsage=clientAuth"
done
