#!/usr/bin/env bash
# Installs programs that are missing on this machine, with the system's package
# manager, when it may. Says what it does, and what to do when it cannot.
#
#   deploy/prerequisites.sh postgresql mosquitto openssl
set -euo pipefail
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

present() {
	case $1 in
	postgresql)
		[ -n "${DEVICEOPS_PG_BIN:-}" ] || command -v postgres >/dev/null || [ -n "$(compgen -G '/usr/lib/postgresql/*/bin/postgres' ||
			compgen -G '/usr/pgsql-*/bin/postgres' || compgen -G '/opt/homebrew/opt/postgresql@*/bin/postgres' ||
			compgen -G '/usr/local/opt/postgresql@*/bin/postgres')" ]
		;;
	mosquitto) command -v mosquitto >/dev/null && command -v mosquitto_pub >/dev/null && command -v mosquitto_passwd >/dev/null ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

# packages NAME MANAGER: what the package manager calls it.
packages() {
	case $1/$2 in
	mosquitto/apt-get) echo mosquitto mosquitto-clients ;;
	postgresql/dnf) echo postgresql-server ;;
	postgresql/brew) echo postgresql@17 ;;
	*) echo "$1" ;;
	esac
}

# as_root COMMAND...: this user may be root, or be allowed to become it.
as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

install() {
	local manager=$1
	shift
	case $manager in
	apt-get)
		as_root apt-get update -qq &&
			as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
		;;
	dnf) as_root dnf install -y -q "$@" ;;
	brew) brew install -q "$@" ;;
	esac
}

may() {
	case $1 in
	brew) command -v brew >/dev/null ;;
	*) command -v "$1" >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; } ;;
	esac
}

missing=()
for name in "$@"; do
	present "$name" || missing+=("$name")
done
[ ${#missing[@]} -gt 0 ] || exit 0

for manager in apt-get dnf brew; do
	may "$manager" || continue
	wanted=()
	for name in "${missing[@]}"; do
		read -ra names <<<"$(packages "$name" "$manager")"
		wanted+=("${names[@]}")
	done
	echo "Installing what is missing on this machine: $manager install ${wanted[*]}"
	log=$(mktemp)
	if install "$manager" "${wanted[@]}" >"$log" 2>&1; then
		rm -f "$log"
		exit 0
	fi
	tail -n 5 "$log" >&2
	rm -f "$log"
done

echo "Missing and not installable from here: ${missing[*]}. Install them, for example: sudo apt-get install postgresql mosquitto mosquitto-clients openssl" >&2
# PostgreSQL alone can still be downloaded by the program itself.
[ "${missing[*]}" = postgresql ]
