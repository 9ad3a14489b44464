// Package deploy holds no code: the files beside it are what an installation
// runs with, in containers (docker-compose.yml) or otherwise. Its tests start
// the machine's own Mosquitto and PostgreSQL with exactly these files.
package deploy
