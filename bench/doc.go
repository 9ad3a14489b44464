// Package bench measures the whole stack. Every bench measures its own
// yardstick in the same run, on the same machine and server, so that what
// counts is a ratio.
package bench
