// Package cluster runs a private PostgreSQL server for the development stack
// and for tests.
//
// The programs are the ones found on this machine, else a download (best
// effort), else one error that says what to install. A cluster lives in one
// folder and listens on loopback only, with a random password that is kept in
// a file that only its owner reads. It is durable: settings trade memory for
// speed, never a commit (Shared, for tests, is the one exception).
//
// The server is not tied to the life of the process that started it. When that
// process is killed the server goes on, and the next Start on the same folder
// adopts it, or stops it when it does not answer.
package cluster
