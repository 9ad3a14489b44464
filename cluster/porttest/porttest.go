// Package porttest gives ports to the servers that tests start.
package porttest

import (
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

// Ports are looked for from first up to last. That is below the ports that systems
// give to outgoing connections, which would take that of a server while it is
// restarted.
const (
	first = 12_000
	last  = 32_000
)

// next is where Free looks next. Two runs of tests on one machine rarely begin at
// the same.
var next atomic.Int64

func init() { next.Store(int64(first + os.Getpid()%1000*16)) }

// Free gives a port of loopback that is free, and that it gives to no other test.
func Free(t testing.TB) int {
	t.Helper()
	for port := int(next.Add(1)); port < last; port = int(next.Add(1)) {
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}
